// SPDX-License-Identifier: Apache-2.0
//
// x86-64 entries as VT-d's first stage and AMD's v2 tables use them: 0 P, 1 R/W, 2 U/S, 3 PWT,
// 4 PCD, 5 A, 6 D, 7 PS, 8 G, 10 EA, 51:12 address (bit 12 of a large page is PAT), 62:52 ignored,
// 63 XD (VT-d 9.7).
#pragma once

#include <array>

#include "pagetables/x86_first_stage.h"
#include "tests/pagetables/formats/facts.h"

namespace weir::pagetables::facts {

struct X86FirstStageFacts {
  using Format = X86FirstStage;
  using Rules = Format::Rules;
  static constexpr std::string_view kName = "x86_first_stage";
  static constexpr std::array<unsigned, 2> kLevelCounts{4, 5};
  static constexpr std::array<BitRange, 6> kIndex{
      {{}, {20, 12}, {29, 21}, {38, 30}, {47, 39}, {56, 48}}};
  static std::vector<PageFact> pages(unsigned) { return {{12, 1}, {21, 2}, {30, 3}}; }

  static constexpr FaultReason kRefusal = FaultReason::kNonCanonical;
  static bool accepts(std::uint64_t input, unsigned levels) {
    return levels == 4 ? input <= 0x00007fff'ffffffff || input >= 0xffff8000'00000000
                       : input <= 0x00ffffff'ffffffff || input >= 0xff000000'00000000;
  }

  static std::uint64_t table(std::uint64_t address, unsigned) { return address | 7; }
  static std::uint64_t leaf(std::uint64_t page, unsigned lg2) {
    return page | (lg2 == 12 ? 0x07 : 0x87);
  }
  // What is present can be read.
  static std::optional<std::uint64_t> deny(std::uint64_t word, Access access) {
    if (access == Access::kRead) return std::nullopt;
    return word & ~std::uint64_t{2};
  }
  static constexpr bool kJudgedAtLeaf = false;
  static constexpr bool kNamesLevels = false;
  static constexpr std::array kNothing{FaultReason::kNotPresent, FaultReason::kNotPresent};
  // PS where there are no pages of that size, or low address bits of a large page; in level 1 all
  // of them mean something.
  static std::optional<FaultReason> all_ones(unsigned level) {
    if (level == 1) return std::nullopt;
    return FaultReason::kReservedBits;
  }

  static constexpr std::uint64_t kAccessed = 0x20;
  static constexpr std::uint64_t kDirty = 0x40;
  static Rules rules() { return Format::rules({.accessed_dirty = false}); }
  static Rules accessed_dirty_rules() { return Format::rules({}); }

  static std::vector<Variant<Rules>> variants() {
    const std::string high = "xiiiiiiiiiii";
    const std::string large = "RRRRRRRRi";  // 20:13 reserved, PAT
    const EntryKind t5{5, 0, high + address(12, 'a') + "iiiiRiAiiuwP"};
    const EntryKind t4{4, 0, t5.bits};
    const EntryKind t3{3, 0, high + address(12, 'a') + "iiiiSiAiiuwP"};
    const EntryKind t2{2, 0, t3.bits};
    const EntryKind p30{
        3, 30, high + address(30, 'a').substr(0, 22) + "RRRRRRRRR" + large + "iiiiSDAiiuwP"};
    const EntryKind p21{2, 21, high + std::string(31, 'a') + large + "iiiiSDAiiuwP"};
    const EntryKind p12{1, 12, high + address(12, 'a') + "iiiiiDAiiuwP"};
    return {
        {"as it comes", Format::rules({}), {t5, t4, t3, t2, p30, p21, p12}},
        {"no 1 GiB pages", Format::rules({.pages_1g = false}), {{3, 0, t5.bits}, t2, p21, p12}},
        {"no execute-disable",
         Format::rules({.no_execute = false}),
         {{4, 0, "i" + t4.bits.substr(1)},
          {2, 21, "i" + p21.bits.substr(1)},
          {1, 12, "i" + p12.bits.substr(1)}}},
        {"accessed and dirty left alone",
         Format::rules({.accessed_dirty = false}),
         {{4, 0, high + address(12, 'a') + "iiiiRiiiiuwP"},
          {2, 21, high + std::string(31, 'a') + large + "iiiiSiiiiuwP"},
          {1, 12, high + address(12, 'a') + "iiiiiiiiiuwP"}}},
        {"extended accessed",
         Format::rules({.extended_accessed = true}),
         {{5, 0, high + address(12, 'a') + "iAiiRiAiiuwP"},
          {2, 0, high + address(12, 'a') + "iAiiSiAiiuwP"},
          {2, 21, high + std::string(31, 'a') + large + "iAiiSDAiiuwP"},
          {1, 12, high + address(12, 'a') + "iAiiiDAiiuwP"}}},
        {"39 address bits",
         Format::rules({.host_address_bits = 39}),
         {{4, 0, high + "RRRRRRRRRRRRRaaaaaaaaaaaaaaaaaaaaaaaaaaa" + "iiiiRiAiiuwP"},
          {2, 21, high + "RRRRRRRRRRRRRaaaaaaaaaaaaaaaaaa" + large + "iiiiSDAiiuwP"},
          {1, 12, high + "RRRRRRRRRRRRRaaaaaaaaaaaaaaaaaaaaaaaaaaa" + "iiiiiDAiiuwP"}}},
    };
  }
};

// AMD v2 for PASID 0 under GIOV: the same entries, and every address up to the reach.
struct X86FirstStageUnsignedFacts : X86FirstStageFacts {
  using Format = X86FirstStageUnsigned;
  static constexpr std::string_view kName = "x86_first_stage_unsigned";
  static constexpr FaultReason kRefusal = FaultReason::kBeyondInputWidth;
  static bool accepts(std::uint64_t input, unsigned levels) {
    return input <= (levels == 4 ? 0x0000ffff'ffffffff : 0x01ffffff'ffffffff);
  }
};

}  // namespace weir::pagetables::facts
