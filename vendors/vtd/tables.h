// SPDX-License-Identifier: Apache-2.0
//
// Layout of the legacy root and context entries (manual 9.1 and 9.3): two 64-bit words each, in
// tables of one page, indexed by bus and by device and function. The second-stage entries below
// them are a format of pagetables/.
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bits.h"

namespace weir::vtd {

inline constexpr std::uint64_t kTableEntryBytes = 16;

namespace root_entry {
inline constexpr Field<63, 12> kContextTable{"CTP", "context-table pointer", "9.1"};
inline constexpr Bit<0> kPresent{"P", "present", "9.1"};
inline constexpr auto kLow = layout<64>(kContextTable, kPresent);
inline constexpr auto kHigh = Layout{.defined = 0, .reserved = bit_mask(63, 0)};
}  // namespace root_entry

// How a context treats requests (9.3, TT).
enum class TranslationType : std::uint8_t {
  kSecondStage,           // untranslated requests only
  kSecondStageDeviceTlb,  // also translation requests and translated requests
  kPassThrough,
};

namespace context_entry {
inline constexpr Field<63, 12> kSecondStageTable{"SSPTPTR", "second-stage table pointer", "9.3"};
inline constexpr Field<3, 2> kTranslationType{"TT", "translation type", "9.3"};
inline constexpr Bit<1> kFaultDisable{"FPD", "fault processing disable", "9.3"};
inline constexpr Bit<0> kPresent{"P", "present", "9.3"};
inline constexpr auto kLow =
    layout<64>(kSecondStageTable, kTranslationType, kFaultDisable, kPresent);
inline constexpr Field<23, 8> kDomain{"DID", "domain identifier", "9.3"};
inline constexpr Field<6, 3> kIgnored{"IGN", "available to software", "9.3"};
inline constexpr Field<2, 0> kAddressWidth{"AW", "address width", "9.3"};
inline constexpr auto kHigh = layout<64>(kDomain, kIgnored, kAddressWidth);

[[nodiscard]] constexpr std::optional<TranslationType> decode_type(std::uint64_t low) {
  switch (kTranslationType.get(low)) {
    case 0:
      return TranslationType::kSecondStage;
    case 1:
      return TranslationType::kSecondStageDeviceTlb;
    case 2:
      return TranslationType::kPassThrough;
    default:
      return std::nullopt;
  }
}
}  // namespace context_entry

}  // namespace weir::vtd
