// SPDX-License-Identifier: Apache-2.0
//
// A recording written once more with something changed, for tests of what notices. One thread.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <type_traits>
#include <variant>

#include "replay/trace_file.h"

namespace weir::replay::test {

// Every record of a file, through `change`, into another.
inline void rewrite(const std::string& from, const std::string& to,
                    const std::function<void(TraceRecord&)>& change) {
  auto reader = TraceReader::open(from);
  auto writer = TraceWriter::create(to);
  ASSERT_TRUE(reader && writer);
  TraceRecord record;
  for (;;) {
    const auto more = reader->next(record);
    ASSERT_TRUE(more) << more.error().to_string();
    if (!*more) return;
    change(record);
    if (const auto* end = std::get_if<TraceEnd>(&record)) {
      ASSERT_TRUE(writer->finish(end->books));
      continue;
    }
    std::visit(
        [&](const auto& r) {
          if constexpr (!std::is_same_v<std::decay_t<decltype(r)>, TraceEnd>) writer->write(r);
        },
        record);
  }
}

}  // namespace weir::replay::test
