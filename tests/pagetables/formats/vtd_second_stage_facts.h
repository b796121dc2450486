// SPDX-License-Identifier: Apache-2.0
//
// VT-d second-stage entries: 0 R, 1 W, 2 X, 5:3 EMT, 6 IPAT, 7 PS, 8 A, 9 D, 11 SNP, 51:12 address,
// 62 TM (reserved from version 3.2); everything else is ignored (VT-d 9.8).
#pragma once

#include <array>

#include "pagetables/vtd_second_stage.h"
#include "tests/pagetables/formats/facts.h"

namespace weir::pagetables::facts {

struct VtdSecondStageFacts {
  using Format = VtdSecondStage;
  using Rules = Format::Rules;
  static constexpr std::string_view kName = "vtd_second_stage";
  static constexpr std::array<unsigned, 3> kLevelCounts{3, 4, 5};
  static constexpr std::array<BitRange, 6> kIndex{
      {{}, {20, 12}, {29, 21}, {38, 30}, {47, 39}, {56, 48}}};
  static std::vector<PageFact> pages(unsigned) { return {{12, 1}, {21, 2}, {30, 3}}; }

  static constexpr FaultReason kRefusal = FaultReason::kBeyondInputWidth;
  static bool accepts(std::uint64_t input, unsigned levels) {
    switch (levels) {
      case 3:
        return input <= 0x0000007f'ffffffff;
      case 4:
        return input <= 0x0000ffff'ffffffff;
      default:
        return input <= 0x01ffffff'ffffffff;
    }
  }

  static std::uint64_t table(std::uint64_t address, unsigned) { return address | 3; }
  static std::uint64_t leaf(std::uint64_t page, unsigned lg2) {
    return page | (lg2 == 12 ? 0x03 : 0x83);
  }
  static std::optional<std::uint64_t> deny(std::uint64_t word, Access access) {
    return word & ~std::uint64_t{access == Access::kRead ? 1U : 2U};
  }
  static constexpr bool kJudgedAtLeaf = false;
  static constexpr bool kNamesLevels = false;
  static constexpr std::array kNothing{FaultReason::kNoReadPermission,
                                       FaultReason::kNoWritePermission};
  static std::optional<FaultReason> all_ones(unsigned) { return FaultReason::kReservedBits; }

  static constexpr std::uint64_t kAccessed = 0x100;
  static constexpr std::uint64_t kDirty = 0x200;
  static Rules rules() { return Format::rules({}); }
  static Rules accessed_dirty_rules() { return Format::rules({.accessed_dirty = true}); }

  static std::vector<Variant<Rules>> variants() {
    const std::string high = "iRiiiiiiiiii";
    const EntryKind t5{5, 0, high + address(12, 'a') + "RiiiRiiiiiwr"};
    const EntryKind t4{4, 0, t5.bits};
    const EntryKind t3{3, 0, high + address(12, 'a') + "RiiiSiiiiiwr"};
    const EntryKind t2{2, 0, t3.bits};
    const EntryKind p30{3, 30, high + address(30, 'R') + "RiiiSiiiiiwr"};
    const EntryKind p21{2, 21, high + address(21, 'R') + "RiiiSiiiiiwr"};
    const EntryKind p12{1, 12, high + address(12, 'a') + "Riiiiiiiiiwr"};
    return {
        {"as it comes", Format::rules({}), {t5, t4, t3, t2, p30, p21, p12}},
        {"no 1 GiB pages", Format::rules({.pages_1g = false}), {{3, 0, t5.bits}, t2, p21, p12}},
        {"4 KiB pages alone",
         Format::rules({.pages_2m = false, .pages_1g = false}),
         {{3, 0, t5.bits}, {2, 0, t5.bits}, p12}},
        // 1 GiB without 2 MiB: SSLPS is prefix-closed.
        {"no 2 MiB pages", Format::rules({.pages_2m = false}), {{3, 0, t5.bits}, p12}},
        {"snoop control",
         Format::rules({.snoop_control = true}),
         {t4,
          t3,
          t2,
          {3, 30, high + address(30, 'R') + "iiiiSiiiiiwr"},
          {2, 21, high + address(21, 'R') + "iiiiSiiiiiwr"},
          {1, 12, high + address(12, 'a') + "iiiiiiiiiiwr"}}},
        {"accessed and dirty",
         accessed_dirty_rules(),
         {{5, 0, high + address(12, 'a') + "RiiARiiiiiwr"},
          {2, 0, high + address(12, 'a') + "RiiASiiiiiwr"},
          {3, 30, high + address(30, 'R') + "RiDASiiiiiwr"},
          {2, 21, high + address(21, 'R') + "RiDASiiiiiwr"},
          {1, 12, high + address(12, 'a') + "RiDAiiiiiiwr"}}},
        {"36 address bits",
         Format::rules({.host_address_bits = 36}),
         {{4, 0, high + "RRRRRRRRRRRRRRRRaaaaaaaaaaaaaaaaaaaaaaaa" + "RiiiRiiiiiwr"},
          {3, 30, high + "RRRRRRRRRRRRRRRRaaaaaaRRRRRRRRRRRRRRRRRR" + "RiiiSiiiiiwr"},
          {1, 12, high + "RRRRRRRRRRRRRRRRaaaaaaaaaaaaaaaaaaaaaaaa" + "Riiiiiiiiiwr"}}},
    };
  }
};

}  // namespace weir::pagetables::facts
