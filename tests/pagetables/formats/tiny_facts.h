// SPDX-License-Identifier: Apache-2.0
//
// The made-up format of docs/adding-a-format.md: what its author would write here.
#pragma once

#include <array>

#include "examples/tiny_format.h"
#include "tests/pagetables/formats/facts.h"

namespace weir::pagetables::facts {

struct TinyFacts {
  using Format = tiny::Format;
  using Rules = Format::Rules;
  static constexpr std::string_view kName = "tiny";
  static constexpr std::array<unsigned, 1> kLevelCounts{2};
  static constexpr std::array<BitRange, 3> kIndex{{{}, {20, 12}, {29, 21}}};
  static std::vector<PageFact> pages(unsigned) { return {{12, 1}, {21, 2}}; }

  static constexpr FaultReason kRefusal = FaultReason::kBeyondInputWidth;
  static bool accepts(std::uint64_t input, unsigned) { return input <= 0x3fffffff; }

  static std::uint64_t table(std::uint64_t address, unsigned) {
    return 0xc0000000'00000000 | address;
  }
  static std::uint64_t leaf(std::uint64_t page, unsigned lg2) {
    return (lg2 == 12 ? 0xc0000000'00000000 : 0xe0000000'00000000) | page;
  }
  static std::optional<std::uint64_t> deny(std::uint64_t word, Access access) {
    if (access == Access::kRead) return std::nullopt;
    return word & ~0x40000000'00000000U;
  }
  static constexpr bool kJudgedAtLeaf = false;
  static constexpr bool kNamesLevels = false;
  static constexpr std::array kNothing{FaultReason::kNotPresent, FaultReason::kNotPresent};
  static std::optional<FaultReason> all_ones(unsigned) { return FaultReason::kReservedBits; }

  static constexpr std::uint64_t kAccessed = 0;
  static constexpr std::uint64_t kDirty = 0;
  static Rules rules() { return {}; }
  static Rules accessed_dirty_rules() { return {}; }

  static std::vector<Variant<Rules>> variants() {
    const EntryKind p12{1, 12, "PwRRRRRRRRRR" + address(12, 'a') + "RRRRRRRRRRRR"};
    return {
        {"as it comes",
         {},
         {{2, 0, "PwSRRRRRRRRR" + address(12, 'a') + "RRRRRRRRRRRR"},
          {2, 21, "PwSRRRRRRRRR" + address(21, 'R') + "RRRRRRRRRRRR"},
          p12}},
        {"4 KiB pages alone",
         {.large_pages = false},
         {{2, 0, "PwRRRRRRRRRR" + address(12, 'a') + "RRRRRRRRRRRR"}, p12}},
    };
  }
};

}  // namespace weir::pagetables::facts
