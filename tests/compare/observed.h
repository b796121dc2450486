// SPDX-License-Identifier: Apache-2.0
//
// What a translation said, in one shape for the oracle and for the walks, so that the two can be
// compared as values. Pure values; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/access.h"
#include "base/fault.h"
#include "pagetables/physical_memory.h"
#include "tests/model/random_image.h"

namespace weir::compare {

struct Observed {
  bool ok = false;
  std::uint32_t references = 0;
  // When ok.
  std::uint64_t output = 0;
  unsigned page_lg2 = 0;
  Permissions permissions = {};
  Permissions cacheable = {};  // the same, without a write that has a dirty bit to set
  // When not.
  Stage stage = Stage::kNone;
  unsigned level = 0;
  std::uint64_t entry_at = 0;
  FaultReason reason = FaultReason::kNotPresent;

  friend bool operator==(const Observed&, const Observed&) = default;
};

[[nodiscard]] std::string to_string(const Observed& observed);

// A verdict of the oracle, its details named by the reasons that weir has for them.
[[nodiscard]] Observed observed(const model::Verdict& verdict);

// One of those that are compared with the oracle: the library, or a mutant of it. It walks the
// world's tables, which lie in `memory` too.
using Subject = Observed (*)(const model::World& world, const pagetables::PhysicalMemory& memory,
                             const model::Ask& ask);

// The library's walks as they are, on whatever formats the world has.
[[nodiscard]] Observed library(const model::World& world, const pagetables::PhysicalMemory& memory,
                               const model::Ask& ask);

}  // namespace weir::compare
