// SPDX-License-Identifier: Apache-2.0
//
// The entry layout against numbers written down by hand from the manual's tables and against
// entries that a Linux driver wrote (tests/data/traces): nothing here shifts as the format does.
#include "pagetables/vtd_second_stage.h"

#include <gtest/gtest.h>

#include <array>

namespace weir::pagetables {
namespace {

using Kind = Step::Kind;
constexpr auto kDefault = VtdSecondStage::rules({});

Step inspect(std::uint64_t entry, unsigned level, const VtdSecondStage::Rules& rules = kDefault,
             Access access = Access::kRead) {
  return VtdSecondStage::inspect(entry, level, {.access = access}, rules);
}

struct Example {
  std::uint64_t entry;
  unsigned level;
  Kind kind;
  std::uint64_t address;
  unsigned page_lg2;
  Permissions permissions;
};

TEST(VtdSecondStage, EntriesOfARealDriver) {
  const std::array examples{
      // vtd_leg_vfio_612, requester 00:02.0: leaves of its walk.tsv.
      Example{0x147e3c003, 1, Kind::kLeaf, 0x147e3c000, 12, Permissions::read_write()},
      Example{0x147e25001, 1, Kind::kLeaf, 0x147e25000, 12, Permissions::read_only()},
      Example{0x143a00083, 2, Kind::kLeaf, 0x143a00000, 21, Permissions::read_write()},
      Example{0x144200081, 2, Kind::kLeaf, 0x144200000, 21, Permissions::read_only()},
      Example{0x100000083, 3, Kind::kLeaf, 0x100000000, 30, Permissions::read_write()},
      // The same bits where they point to tables.
      Example{0x147e3c003, 2, Kind::kTable, 0x147e3c000, 0, Permissions::read_write()},
      Example{0x147e3c003, 3, Kind::kTable, 0x147e3c000, 0, Permissions::read_write()},
      Example{0x147e3c003, 4, Kind::kTable, 0x147e3c000, 0, Permissions::read_write()},
      Example{0x147e3c003, 5, Kind::kTable, 0x147e3c000, 0, Permissions::read_write()},
  };
  for (const Example& e : examples) {
    const Step step = inspect(e.entry, e.level);
    EXPECT_EQ(step.kind, e.kind) << std::hex << e.entry << " level " << e.level;
    EXPECT_EQ(step.address, e.address) << std::hex << e.entry << " level " << e.level;
    EXPECT_EQ(step.permissions, e.permissions) << std::hex << e.entry;
    if (e.kind == Kind::kLeaf) {
      EXPECT_EQ(step.page_lg2, e.page_lg2);
    }
  }
}

// SS-PTE … SS-PML5E: bits that are reserved with R=1, by host address width and level.
struct ReservedRow {
  unsigned host_address_bits;
  unsigned level;
  bool leaf;  // PS set (level 2, 3) or level 1
  std::uint64_t reserved;
};

// By hand: TM is bit 62, SNP bit 11; bits 51…HAW; PS (0x80) where no such page exists; a 2 MiB
// leaf has 20:12 = 0x1ff000 and a 1 GiB leaf 29:12 = 0x3ffff000 reserved.
constexpr std::array kReserved{
    ReservedRow{39, 1, true, 0x400fff8000000800},  ReservedRow{39, 2, false, 0x400fff8000000800},
    ReservedRow{39, 2, true, 0x400fff80001ff800},  ReservedRow{39, 3, false, 0x400fff8000000800},
    ReservedRow{39, 3, true, 0x400fff803ffff800},  ReservedRow{39, 4, false, 0x400fff8000000880},
    ReservedRow{39, 5, false, 0x400fff8000000880}, ReservedRow{48, 1, true, 0x400f000000000800},
    ReservedRow{48, 2, false, 0x400f000000000800}, ReservedRow{48, 2, true, 0x400f0000001ff800},
    ReservedRow{48, 3, false, 0x400f000000000800}, ReservedRow{48, 3, true, 0x400f00003ffff800},
    ReservedRow{48, 4, false, 0x400f000000000880}, ReservedRow{48, 5, false, 0x400f000000000880},
    ReservedRow{52, 1, true, 0x4000000000000800},  ReservedRow{52, 2, false, 0x4000000000000800},
    ReservedRow{52, 2, true, 0x40000000001ff800},  ReservedRow{52, 3, false, 0x4000000000000800},
    ReservedRow{52, 3, true, 0x400000003ffff800},  ReservedRow{52, 4, false, 0x4000000000000880},
    ReservedRow{52, 5, false, 0x4000000000000880}};

// Each of the 64 bits, one at a time, at every level: reserved exactly where the row says so.
TEST(VtdSecondStage, ReservedBitsOneByOne) {
  for (const ReservedRow& row : kReserved) {
    const auto rules = VtdSecondStage::rules({.host_address_bits = row.host_address_bits});
    const std::uint64_t base = row.leaf && row.level > 1 ? 0x83 : 0x03;
    for (unsigned bit = 0; bit < 64; ++bit) {
      const std::uint64_t one = std::uint64_t{1} << bit;
      // Setting PS at level 2 or 3 makes it another row's entry.
      if (one == 0x80 && !row.leaf && row.level <= 3) continue;
      const Step step = inspect(base | one, row.level, rules);
      const bool refused = step.kind == Kind::kStop;
      EXPECT_EQ(refused, (row.reserved & one) != 0)
          << "HAW " << row.host_address_bits << " level " << row.level << " bit " << bit;
      if (refused) {
        EXPECT_EQ(step.reason, FaultReason::kReservedBits);
      } else {
        EXPECT_EQ(step.kind, row.leaf ? Kind::kLeaf : Kind::kTable);
      }
    }
  }
}

TEST(VtdSecondStage, SnoopIsDefinedInLeavesOnlyWithSnoopControl) {
  const auto rules = VtdSecondStage::rules({.snoop_control = true});
  EXPECT_EQ(inspect(0x1803, 1, rules).kind, Kind::kLeaf);
  EXPECT_EQ(inspect(0x200883, 2, rules).kind, Kind::kLeaf);
  EXPECT_EQ(inspect(0x40000883, 3, rules).kind, Kind::kLeaf);
  for (const unsigned level : {2u, 3u, 4u, 5u})
    EXPECT_EQ(inspect(0x1803, level, rules).reason, FaultReason::kReservedBits) << level;
}

TEST(VtdSecondStage, PageSizesThatTheUnitDoesNotHave) {
  const auto none = VtdSecondStage::rules({.pages_2m = false, .pages_1g = false});
  EXPECT_EQ(inspect(0x200083, 2, none).reason, FaultReason::kReservedBits);
  EXPECT_EQ(inspect(0x40000083, 3, none).reason, FaultReason::kReservedBits);
  EXPECT_EQ(inspect(0x1083, 1, none).kind, Kind::kLeaf) << "bit 7 of the last level is ignored";
  const auto small = VtdSecondStage::rules({.pages_1g = false});
  EXPECT_EQ(inspect(0x200083, 2, small).kind, Kind::kLeaf);
  EXPECT_EQ(inspect(0x40000083, 3, small).reason, FaultReason::kReservedBits);
  EXPECT_TRUE(VtdSecondStage::leaf_place(21, small));
  EXPECT_FALSE(VtdSecondStage::leaf_place(30, small));
  EXPECT_FALSE(VtdSecondStage::leaf_place(39, kDefault));
  EXPECT_FALSE(VtdSecondStage::leaf_place(48, kDefault));
  EXPECT_FALSE(VtdSecondStage::leaf_place(13, kDefault));
}

// 7.1.3: at one entry, a missing permission is found before a reserved bit.
TEST(VtdSecondStage, PermissionBeforeReserved) {
  const std::uint64_t bad = 0x4000000000000000;
  for (unsigned level = 1; level <= 5; ++level) {
    EXPECT_EQ(inspect(bad | 2, level).reason, FaultReason::kNoReadPermission);
    EXPECT_EQ(inspect(bad | 1, level, kDefault, Access::kWrite).reason,
              FaultReason::kNoWritePermission);
    EXPECT_EQ(inspect(bad | 1, level).reason, FaultReason::kReservedBits);
    EXPECT_EQ(inspect(bad | 2, level, kDefault, Access::kWrite).reason, FaultReason::kReservedBits);
    EXPECT_EQ(inspect(bad, level).reason, FaultReason::kNoReadPermission);
    EXPECT_EQ(inspect(bad, level, kDefault, Access::kWrite).reason,
              FaultReason::kNoWritePermission);
  }
}

TEST(VtdSecondStage, AnAtomicNeedsBothAndSaysWhichIsMissing) {
  EXPECT_EQ(inspect(0x1003, 1, kDefault, Access::kReadWrite).kind, Kind::kLeaf);
  EXPECT_EQ(inspect(0x1001, 1, kDefault, Access::kReadWrite).reason,
            FaultReason::kNoWritePermission);
  EXPECT_EQ(inspect(0x1002, 1, kDefault, Access::kReadWrite).reason,
            FaultReason::kNoReadPermission);
  EXPECT_EQ(inspect(0x1000, 1, kDefault, Access::kReadWrite).reason,
            FaultReason::kNoWritePermission);
}

TEST(VtdSecondStage, AllOnesIsAReservedEntryAtEveryLevel) {
  for (unsigned level = 1; level <= 5; ++level)
    EXPECT_EQ(inspect(0xffffffffffffffff, level).reason, FaultReason::kReservedBits);
}

TEST(VtdSecondStage, MakesWhatADriverWrites) {
  EXPECT_EQ(VtdSecondStage::make_leaf(0x147e3c000, 12, Permissions::read_write()), 0x147e3c003u);
  EXPECT_EQ(VtdSecondStage::make_leaf(0x144200000, 21, Permissions::read_only()), 0x144200081u);
  EXPECT_EQ(VtdSecondStage::make_leaf(0x100000000, 30, Permissions::read_write()), 0x100000083u);
  EXPECT_EQ(VtdSecondStage::make_leaf(0x5000, 12, Permissions::write_only()), 0x5002u);
  EXPECT_EQ(VtdSecondStage::make_table(0x146fd9000, 2), 0x146fd9003u);
}

}  // namespace
}  // namespace weir::pagetables
