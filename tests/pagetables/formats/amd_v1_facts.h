// SPDX-License-Identifier: Apache-2.0
//
// AMD-Vi v1 entries: 0 PR, 5 A, 6 D of a leaf, 11:9 NextLevel, 51:12 address, 58:52 reserved, 59 U
// and 60 FC of a leaf (reserved in a table), 61 IR, 62 IW; 4:1, 8:7 and 63 ignored (48882 2.2.3).
// Level 6 translates the seven bits that are left and holds no page.
#pragma once

#include <array>

#include "pagetables/amd_v1.h"
#include "tests/pagetables/formats/facts.h"

namespace weir::pagetables::facts {

struct AmdV1Facts {
  using Format = AmdV1;
  using Rules = Format::Rules;
  static constexpr std::string_view kName = "amd_v1";
  static constexpr std::array<unsigned, 6> kLevelCounts{1, 2, 3, 4, 5, 6};
  static constexpr std::array<BitRange, 7> kIndex{
      {{}, {20, 12}, {29, 21}, {38, 30}, {47, 39}, {56, 48}, {63, 57}}};
  // Every power of two up to 2^51; a default size in one entry, the others in 2, 4, … 256.
  static std::vector<PageFact> pages(unsigned levels) {
    static constexpr std::array<unsigned, 5> kDefault{12, 21, 30, 39, 48};
    std::vector<PageFact> pages;
    for (unsigned level = 1; level <= 5 && level <= levels; ++level)
      for (unsigned above = 0; above <= 8 && kDefault[level - 1] + above <= 51; ++above)
        pages.push_back({kDefault[level - 1] + above, level, std::uint64_t{1} << above});
    return pages;
  }

  static constexpr FaultReason kRefusal = FaultReason::kBeyondInputWidth;
  static bool accepts(std::uint64_t input, unsigned levels) {
    static constexpr std::array<std::uint64_t, 7> kLast{0,
                                                        0x00000000'001fffff,
                                                        0x00000000'3fffffff,
                                                        0x0000007f'ffffffff,
                                                        0x0000ffff'ffffffff,
                                                        0x01ffffff'ffffffff,
                                                        0xffffffff'ffffffff};
    return input <= kLast[levels];
  }

  static std::uint64_t table(std::uint64_t address, unsigned level) {
    return 0x60000000'00000001 | address | std::uint64_t{level - 1} << 9;
  }
  static std::uint64_t leaf(std::uint64_t page, unsigned lg2) {
    std::uint64_t word = 0x60000000'00000001 | page;
    if (lg2 == 12 || lg2 == 21 || lg2 == 30 || lg2 == 39 || lg2 == 48) return word;
    word |= 0xe00;
    // The lowest zero above bit 11 stands one below the size.
    for (unsigned bit = 12; bit + 1 < lg2; ++bit) word |= std::uint64_t{1} << bit;
    return word;
  }
  static std::optional<std::uint64_t> deny(std::uint64_t word, Access access) {
    return word & ~(access == Access::kRead ? 0x20000000'00000000U : 0x40000000'00000000U);
  }
  static constexpr bool kJudgedAtLeaf = false;
  static constexpr bool kNamesLevels = true;
  static constexpr std::array kNothing{FaultReason::kNotPresent, FaultReason::kNotPresent};
  static std::optional<FaultReason> all_ones(unsigned) { return FaultReason::kReservedBits; }

  static constexpr std::uint64_t kAccessed = 0x20;
  static constexpr std::uint64_t kDirty = 0x40;
  static Rules rules() { return Format::rules({}); }
  static Rules accessed_dirty_rules() { return Format::rules({.accessed_dirty = true}); }

  static std::vector<Variant<Rules>> variants() {
    const std::string leaf_high = "iwriiRRRRRRR";
    std::vector<EntryKind> plain{
        {1, 12, leaf_high + address(12, 'i') + "LLLiiiiiiiiP"},
        {2, 21, leaf_high + address(21, 'i') + "LLLiiiiiiiiP"},
        {3, 30, leaf_high + address(30, 'i') + "LLLiiiiiiiiP"},
        {4, 39, leaf_high + address(39, 'i') + "LLLiiiiiiiiP"},
        {5, 48, leaf_high + address(48, 'i') + "LLLiiiiiiiiP"},
    };
    for (const unsigned lg2 : {13U, 16U, 20U, 22U, 29U, 33U, 40U, 47U, 49U, 51U})
      plain.push_back({(lg2 - 3) / 9, lg2, leaf_high + address(lg2, 'z') + "LLLiiiiiiiiP"});
    for (unsigned level = 2; level <= 6; ++level)
      plain.push_back({level, 0, "iwrRRRRRRRRR" + address(12, 'a') + "LLLiiiiiiiiP"});
    return {
        {"as it comes", Format::rules({}), plain},
        {"accessed and dirty",
         accessed_dirty_rules(),
         {{6, 0, "iwrRRRRRRRRR" + address(12, 'a') + "LLLiiiAiiiiP"},
          {2, 0, "iwrRRRRRRRRR" + address(12, 'a') + "LLLiiiAiiiiP"},
          {1, 12, leaf_high + address(12, 'i') + "LLLiiDAiiiiP"},
          {1, 16, leaf_high + address(16, 'z') + "LLLiiDAiiiiP"},
          {3, 30, leaf_high + address(30, 'i') + "LLLiiDAiiiiP"}}},
        {"40 address bits",
         Format::rules({.host_address_bits = 40}),
         {{3, 0,
           "iwrRRRRRRRRR"
           "RRRRRRRRRRRRaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
           "LLLiiiiiiiiP"},
          {1, 12, leaf_high + "RRRRRRRRRRRRaaaaaaaaaaaaaaaaaaaaaaaaaaaa" + "LLLiiiiiiiiP"},
          {1, 16, leaf_high + "RRRRRRRRRRRRaaaaaaaaaaaaaaaaaaaaaaaazzzz" + "LLLiiiiiiiiP"}}},
    };
  }
};

}  // namespace weir::pagetables::facts
