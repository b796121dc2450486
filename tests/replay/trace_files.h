// SPDX-License-Identifier: Apache-2.0
//
// Files for the tests of readers: made up on the spot, or the committed captures. Test code only,
// any thread.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replay/trace_error.h"

namespace weir::replay {

// The path of a file under tests/data/traces.
[[nodiscard]] std::string capture(std::string_view name);
[[nodiscard]] std::string contents(const std::string& path);

// A file that is gone with the object.
class ScratchFile {
 public:
  explicit ScratchFile(std::string_view bytes);
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// `bytes` as one xz stream.
[[nodiscard]] std::string xz(std::string_view bytes);

// All events of a file, and the error that ended them if one did.
template <typename Event>
struct Drained {
  std::vector<Event> events;
  std::optional<TraceError> error;
};

template <typename Reader>
[[nodiscard]] auto drain(const std::string& path) {
  using Next = decltype(std::declval<Reader&>().next());
  using Event = std::remove_cvref_t<decltype(**std::declval<Next&>())>;
  Drained<Event> out;
  auto reader = Reader::open(path);
  if (!reader) {
    out.error = reader.error();
    return out;
  }
  for (;;) {
    auto event = reader->next();
    if (!event) {
      out.error = event.error();
      return out;
    }
    if (!*event) {
      return out;
    }
    out.events.push_back(std::move(**event));
  }
}

// What went wrong, printable where nothing was expected to.
[[nodiscard]] inline std::string text_of(const std::optional<TraceError>& error) {
  return error ? error->to_string() : "no error";
}

// Drains `text` as a file and expects an error at `line` whose cause contains `cause`.
template <typename Reader>
void expect_error(std::string_view text, std::uint64_t line, std::string_view cause) {
  SCOPED_TRACE(in_quotes(text));
  const ScratchFile file(text);
  const auto drained = drain<Reader>(file.path());
  ASSERT_TRUE(drained.error.has_value());
  EXPECT_EQ(drained.error->file, file.path());
  EXPECT_EQ(drained.error->line, line) << drained.error->to_string();
  EXPECT_NE(drained.error->cause.find(cause), std::string::npos) << drained.error->to_string();
  EXPECT_EQ(drained.error->to_string().find('\n'), std::string::npos);
}

// Drains `text` as a file and expects exactly one event.
template <typename Reader>
[[nodiscard]] auto only_event(std::string_view text) {
  SCOPED_TRACE(in_quotes(text));
  const ScratchFile file(text);
  auto drained = drain<Reader>(file.path());
  EXPECT_FALSE(drained.error.has_value()) << text_of(drained.error);
  EXPECT_EQ(drained.events.size(), 1u);
  drained.events.resize(1);
  return std::move(drained.events.front());
}

}  // namespace weir::replay
