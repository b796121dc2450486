// SPDX-License-Identifier: Apache-2.0
//
// Layout of the scalable-mode structures: root entry, context entry, PASID directory entry, PASID
// table entry (manual 9.2, 9.4, 9.5, 9.6). A root entry names two context tables, one for each half
// of a bus; a context entry, a PASID directory; its entries, tables of 64 PASIDs each.
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bits.h"
#include "vendors/vtd/options.h"

namespace weir::vtd {

// Each half (low: devices 0 to 15, high: 16 to 31) has the shape of a legacy root entry's low word.
namespace scalable_root {
inline constexpr std::uint64_t kBytes = 16;
inline constexpr Field<63, 12> kContextTable{"LCTP/UCTP", "context-table pointer", "9.2"};
inline constexpr Bit<0> kPresent{"LP/UP", "present", "9.2"};
inline constexpr auto kHalf = layout<64>(kContextTable, kPresent);
}  // namespace scalable_root

// Which entry of which table a function has.
namespace function_index {
inline constexpr Bit<7> kUpperHalf{"DEV[4]", "upper context table", "3.4.3"};
inline constexpr Field<6, 0> kEntry{"DEV[3:0], FUN", "entry of the context table", "3.4.3"};
}  // namespace function_index

namespace scalable_context {
inline constexpr std::uint64_t kBytes = 32;
inline constexpr Field<63, 12> kDirectory{"PASIDDIRPTR", "PASID directory pointer", "9.4"};
inline constexpr Field<11, 9> kDirectorySize{"PDTS", "PASID directory size: 2^(7+PDTS)", "9.4"};
inline constexpr Bit<4> kPageRequests{"PRE", "page request enable", "9.4"};
inline constexpr Bit<3> kPasidEnable{"PASIDE", "PASID enable", "9.4"};
inline constexpr Bit<2> kDeviceTlb{"DTE", "device-TLB enable", "9.4"};
inline constexpr Bit<1> kFaultDisable{"FPD", "fault processing disable", "9.4"};
inline constexpr Bit<0> kPresent{"P", "present", "9.4"};
inline constexpr auto kWord0 = layout<64>(kDirectory, kDirectorySize, kPageRequests, kPasidEnable,
                                          kDeviceTlb, kFaultDisable, kPresent);
inline constexpr Bit<20> kRidPrivileged{"RID_PRIV", "RID requests are privileged", "9.4"};
inline constexpr Field<19, 0> kRidPasid{"RID_PASID", "PASID of requests without one", "9.4"};
inline constexpr auto kWord1 = layout<64>(kRidPrivileged, kRidPasid);

// Reserved bits of the four words, for what a unit has: RID_PRIV comes with ECAP.RPRIVS.
[[nodiscard]] constexpr std::array<std::uint64_t, 4> reserved() {
  return {kWord0.reserved, kWord1.reserved | kRidPrivileged.kMask, ~std::uint64_t{0},
          ~std::uint64_t{0}};
}
}  // namespace scalable_context

// Where a PASID stands.
namespace pasid_index {
inline constexpr unsigned kDirectoryLg2 = 7;  // entries of the smallest directory
inline constexpr Field<19, 6> kDirectory{"PASID[19:6]", "entry of the directory", "3.4.3"};
inline constexpr Field<5, 0> kTable{"PASID[5:0]", "entry of the table", "3.4.3"};
}  // namespace pasid_index

namespace pasid_directory {
inline constexpr std::uint64_t kBytes = 8;
inline constexpr Field<63, 12> kTable{"SMPTBLPTR", "PASID table pointer", "9.5"};
inline constexpr Bit<1> kFaultDisable{"FPD", "fault processing disable", "9.5"};
inline constexpr Bit<0> kPresent{"P", "present", "9.5"};
inline constexpr auto kLayout = layout<64>(kTable, kFaultDisable, kPresent);
}  // namespace pasid_directory

// PGTT.
enum class PasidTranslation : std::uint8_t { kFirstStage, kSecondStage, kNested, kPassThrough };

namespace pasid_entry {
inline constexpr std::uint64_t kBytes = 64;
inline constexpr std::size_t kWords = 8;
inline constexpr Field<63, 12> kSecondStageTable{"SSPTPTR", "second-stage table pointer", "9.6"};
inline constexpr Bit<9> kSecondStageDirty{"SSADE", "second-stage accessed/dirty enable", "9.6"};
inline constexpr Field<8, 6> kTranslation{"PGTT", "translation type", "9.6"};
inline constexpr Field<4, 2> kAddressWidth{"AW", "second-stage address width", "9.6"};
inline constexpr Bit<1> kFaultDisable{"FPD", "fault processing disable", "9.6"};
inline constexpr Bit<0> kPresent{"P", "present", "9.6"};
inline constexpr auto kWord0 = layout<64>(kSecondStageTable, kSecondStageDirty, kTranslation,
                                          kAddressWidth, kFaultDisable, kPresent);
inline constexpr Field<63, 32> kPat{"PAT", "page attribute table", "9.6"};
inline constexpr Field<29, 27> kMemoryType{"EMT", "extended memory type", "9.6"};
inline constexpr Bit<26> kMemoryTypeEnable{"EMTE", "extended memory type enable", "9.6"};
inline constexpr Bit<25> kCacheDisable{"CD", "cache disable", "9.6"};
inline constexpr Bit<24> kPageSnoop{"PGSNP", "pages snoop", "9.6"};
inline constexpr Bit<23> kWalkSnoop{"PWSNP", "page walks snoop", "9.6"};
inline constexpr Field<15, 0> kDomain{"DID", "domain identifier", "9.6"};
inline constexpr auto kWord1 = layout<64>(kPat, kMemoryType, kMemoryTypeEnable, kCacheDisable,
                                          kPageSnoop, kWalkSnoop, kDomain);
inline constexpr Field<63, 12> kFirstStageTable{"FSPTPTR", "first-stage table pointer", "9.6"};
inline constexpr Bit<7> kExtendedAccessed{"EAFE", "extended accessed flag enable", "9.6"};
inline constexpr Bit<5> kNoExecute{"NXE", "no-execute enable", "9.6"};
inline constexpr Bit<4> kWriteProtect{"WPE", "write protect enable", "9.6"};
inline constexpr Field<3, 2> kPagingMode{"FSPM", "first-stage paging mode", "9.6"};
inline constexpr Bit<1> kExecute{"ERE", "execute requests enable", "9.6"};
inline constexpr Bit<0> kSupervisor{"SRE", "supervisor requests enable", "9.6"};
inline constexpr auto kWord2 = layout<64>(kFirstStageTable, kExtendedAccessed, kNoExecute,
                                          kWriteProtect, kPagingMode, kExecute, kSupervisor);

// Reserved bits of the eight words: what no field claims, and the fields of features that the unit
// does not have.
[[nodiscard]] constexpr std::array<std::uint64_t, kWords> reserved(const Options& options) {
  const auto unless = [](bool has, auto field) {
    return has ? std::uint64_t{0} : std::uint64_t{field.kMask};
  };
  std::array<std::uint64_t, kWords> result;
  result.fill(~std::uint64_t{0});
  result[0] = kWord0.reserved | unless(options.second_stage_dirty, kSecondStageDirty);
  result[1] = kWord1.reserved | unless(options.snoop_control, kPageSnoop) |
              unless(options.walk_coherency, kWalkSnoop);
  result[2] = kWord2.reserved | unless(options.extended_accessed, kExtendedAccessed) |
              unless(options.supervisor_requests, kSupervisor) |
              unless(options.execute_requests, kExecute);
  return result;
}

[[nodiscard]] constexpr std::optional<PasidTranslation> decode_translation(std::uint64_t word0) {
  switch (kTranslation.get(word0)) {
    case 1:
      return PasidTranslation::kFirstStage;
    case 2:
      return PasidTranslation::kSecondStage;
    case 3:
      return PasidTranslation::kNested;
    case 4:
      return PasidTranslation::kPassThrough;
    default:
      return std::nullopt;
  }
}
}  // namespace pasid_entry

}  // namespace weir::vtd
