// SPDX-License-Identifier: Apache-2.0
//
// Layout of a device table entry, 256 bits as four words (48882 section 2.2.2.1), and of the guest
// CR3 table's entry (2.2.6.3). Which fields may be non-zero follows from what the unit has enabled;
// see DeviceEntryRules in capabilities.h.
//
// Layout only: constexpr, no I/O, no state.
#pragma once

#include <array>
#include <cstdint>

#include "base/bits.h"

namespace weir::amdvi {

using DeviceEntry = std::array<std::uint64_t, 4>;
inline constexpr std::uint64_t kDeviceEntryBytes = sizeof(DeviceEntry);

namespace dte0 {
inline constexpr Bit<0> kValid{"V", "bits 127:0 are valid", "2.2.2.1"};
inline constexpr Bit<1> kTranslationValid{"TV", "translation information is valid", "2.2.2.1"};
inline constexpr Field<8, 7> kAccessedDirty{"HAD", "0 none, 1 accessed, 3 and dirty", "2.2.2.1"};
inline constexpr Field<11, 9> kMode{"Mode", "host levels: 0 none, 1 to 6", "2.2.2.1"};
inline constexpr Field<51, 12> kHostRoot{"Host Page Table Root", "host table root", "2.2.2.1"};
inline constexpr Bit<52> kPageRequests{"PPR", "page requests allowed", "2.2.2.1"};
inline constexpr Bit<53> kResponsePasid{"GPRP", "page responses carry the PASID", "2.2.2.1"};
inline constexpr Bit<54> kGuestIo{"GIoV", "requests without PASID are guest requests", "2.2.2.1"};
inline constexpr Bit<55> kGuestValid{"GV", "guest translation is valid", "2.2.2.1"};
inline constexpr Field<57, 56> kGcr3Levels{"GLX", "guest CR3 table levels - 1", "2.2.2.1"};
inline constexpr Field<60, 58> kGcr3Low{"GCR3 TRP[14:12]", "guest CR3 table root", "2.2.2.1"};
inline constexpr Bit<61> kRead{"IR", "read permission", "2.2.2.1"};
inline constexpr Bit<62> kWrite{"IW", "write permission", "2.2.2.1"};
inline constexpr auto kLayout =
    layout<64>(kValid, kTranslationValid, kAccessedDirty, kMode, kHostRoot, kPageRequests,
               kResponsePasid, kGuestIo, kGuestValid, kGcr3Levels, kGcr3Low, kRead, kWrite);
inline constexpr std::uint64_t kModeReserved = 7;
inline constexpr std::uint64_t kGcr3LevelsReserved = 3;
}  // namespace dte0

namespace dte1 {
inline constexpr Field<15, 0> kDomain{"DomainID", "domain-id", "2.2.2.1"};
inline constexpr Field<31, 16> kGcr3Middle{"GCR3 TRP[30:15]", "guest CR3 table root", "2.2.2.1"};
inline constexpr Bit<32> kDeviceTlb{"I", "the device may ask for translations", "2.2.2.1"};
inline constexpr Bit<33> kSuppressLater{"SE", "log only the first page fault", "2.2.2.1"};
inline constexpr Bit<34> kSuppressAll{"SA", "log no page fault", "2.2.2.1"};
inline constexpr Field<36, 35> kPortIo{"IoCtl", "port I/O: abort, forward, translate", "2.2.2.1"};
inline constexpr Bit<37> kCacheHint{"Cache", "IOTLB cache hint", "2.2.2.1"};
inline constexpr Bit<38> kSnoopDisable{"SD", "snoop disable", "2.2.2.1"};
inline constexpr Bit<39> kExclusion{"EX", "the exclusion range applies", "2.2.2.1"};
inline constexpr Field<41, 40> kSystemMessages{"SysMgt", "system management range", "2.2.2.1"};
inline constexpr Bit<42> kSecureAts{"SATS", "secure ATS", "2.2.2.1"};
inline constexpr Field<63, 43> kGcr3High{"GCR3 TRP[51:31]", "guest CR3 table root", "2.2.2.1"};
inline constexpr auto kLayout =
    layout<64>(kDomain, kGcr3Middle, kDeviceTlb, kSuppressLater, kSuppressAll, kPortIo, kCacheHint,
               kSnoopDisable, kExclusion, kSystemMessages, kSecureAts, kGcr3High);
inline constexpr std::uint64_t kPortIoReserved = 3;
}  // namespace dte1

namespace dte2 {
inline constexpr Bit<0> kInterruptsValid{"IV", "bits 255:128 are valid", "2.2.2.1"};
inline constexpr Field<4, 1> kTableLength{"IntTabLen", "2^n interrupt entries", "2.2.2.1"};
inline constexpr Bit<5> kIgnoreUnmapped{"IG", "no event for unmapped interrupts", "2.2.2.1"};
inline constexpr Field<51, 6> kTable{"Interrupt Table Root", "interrupt table", "2.2.2.1"};
inline constexpr Field<55, 54> kGuestLevels{"GuestPagingMode", "0: 4 levels, 1: 5", "2.2.2.1"};
inline constexpr Bit<56> kInitPass{"INITPass", "INIT passes", "2.2.2.1"};
inline constexpr Bit<57> kExtIntPass{"EIntPass", "ExtInt passes", "2.2.2.1"};
inline constexpr Bit<58> kNmiPass{"NMIPass", "NMI passes", "2.2.2.1"};
inline constexpr Bit<59> kHostModeHint{"HPTMode", "host page table mode hint", "2.2.2.1"};
inline constexpr Field<61, 60> kControl{"IntCtl", "0 abort, 1 forward, 2 remap", "2.2.2.1"};
inline constexpr Bit<62> kLint0Pass{"Lint0Pass", "LINT0 passes", "2.2.2.1"};
inline constexpr Bit<63> kLint1Pass{"Lint1Pass", "LINT1 passes", "2.2.2.1"};
inline constexpr auto kLayout =
    layout<64>(kInterruptsValid, kTableLength, kIgnoreUnmapped, kTable, kGuestLevels, kInitPass,
               kExtIntPass, kNmiPass, kHostModeHint, kControl, kLint0Pass, kLint1Pass);
inline constexpr std::uint64_t kMostTableLength = 11;
enum class Control : std::uint8_t { kAbort = 0, kForward = 1, kRemap = 2, kReserved = 3 };
}  // namespace dte2

namespace dte3 {
inline constexpr Bit<15> kVirtualIommu{"vImuEn", "virtual IOMMU", "2.2.2.1"};
inline constexpr Field<31, 16> kGuestDevice{"GDeviceID", "guest device-id", "2.2.2.1"};
inline constexpr Field<47, 32> kGuest{"GuestID", "guest-id", "2.2.2.1"};
inline constexpr Bit<53> kSoftware{"-", "for software", "2.2.2.1"};
inline constexpr Bit<54> kAttributeValid{"AttrV", "attribute override", "2.2.2.1"};
inline constexpr Bit<55> kMode0Coherent{"Mode0FC", "mode 0 force coherent", "2.2.2.1"};
inline constexpr Field<63, 56> kSnoop{"SnoopAttribute", "snoop attribute", "2.2.2.1"};
inline constexpr auto kLayout = layout<64>(kVirtualIommu, kGuestDevice, kGuest, kSoftware,
                                           kAttributeValid, kMode0Coherent, kSnoop);
}  // namespace dte3

// The root of the guest CR3 table, which the entry holds in three pieces.
namespace gcr3_root {
inline constexpr Field<14, 12> kLow{"GCR3 TRP[14:12]"};
inline constexpr Field<30, 15> kMiddle{"GCR3 TRP[30:15]"};
inline constexpr Field<51, 31> kHigh{"GCR3 TRP[51:31]"};
[[nodiscard]] constexpr std::uint64_t of(const DeviceEntry& entry) {
  return kLow.of(dte0::kGcr3Low.get(entry[0])) | kMiddle.of(dte1::kGcr3Middle.get(entry[1])) |
         kHigh.of(dte1::kGcr3High.get(entry[1]));
}
}  // namespace gcr3_root

// One entry of the guest CR3 table, at every level of it.
namespace gcr3 {
inline constexpr Bit<0> kValid{"V", "valid", "2.2.6.3"};
inline constexpr Field<51, 12> kAddress{"Base", "next table, or the guest's CR3", "2.2.6.3"};
inline constexpr auto kLayout = layout<64>(kValid, kAddress);
// What a PASID contributes at each level, from the last one up.
inline constexpr Field<8, 0> kIndex1{"PASID[8:0]", "level 1", "2.2.6.3"};
inline constexpr Field<17, 9> kIndex2{"PASID[17:9]", "level 2", "2.2.6.3"};
inline constexpr Field<19, 18> kIndex3{"PASID[19:18]", "level 3", "2.2.6.3"};
}  // namespace gcr3

}  // namespace weir::amdvi
