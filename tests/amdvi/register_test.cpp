// SPDX-License-Identifier: Apache-2.0
//
// The register file as a driver meets it: access sizes, halves, what sticks and what does not; the
// feature registers of each profile. Offsets and bits are Linux's.

#include <random>

#include "tests/amdvi/machine.h"

namespace weir::amdvi::test {
namespace {

TEST(RegisterTest, BasesAreWrittenInHalves) {
  Machine machine;
  machine.write(kDevTab, 0x34567000 | 0x1f, 4);
  EXPECT_EQ(machine.read(kDevTab), 0x34567000U | 0x1f);
  machine.write(kDevTab + 4, 0xfff12, 4);
  EXPECT_EQ(machine.read(kDevTab), 0xfff1234567000U | 0x1f);
  EXPECT_EQ(machine.read(kDevTab + 4, 4), 0xfff12U);
  machine.write(kDevTab, 0x1000, 4);  // low half alone
  EXPECT_EQ(machine.read(kDevTab), 0xfff1200001000U);
  machine.write(kCmdBase + 4, 0x9000000, 4);
  EXPECT_EQ(machine.read(kCmdBase), std::uint64_t{9} << 56);
}

TEST(RegisterTest, ReservedBitsReadZero) {
  Machine machine;
  machine.write(kDevTab, ~std::uint64_t{0});
  EXPECT_EQ(machine.read(kDevTab), 0x000ffffffffff1ffU);
  for (const std::uint64_t base : {kCmdBase, kEvtBase, kPprBase, kGaBase}) {
    machine.write(base, ~std::uint64_t{0});
    EXPECT_EQ(machine.read(base), 0x0f0ffffffffff000U);
  }
  machine.write(kExclBase, ~std::uint64_t{0});
  EXPECT_EQ(machine.read(kExclBase), 0x000ffffffffff003U);
  machine.write(kExclLimit, 0);
  EXPECT_EQ(machine.read(kExclLimit), 0xfffU);
  for (const std::uint64_t pointer : {kCmdHead, kEvtHead, kPprHead}) {
    machine.write(pointer, ~std::uint64_t{0});
    EXPECT_EQ(machine.read(pointer), 0x7fff0U);
  }
  machine.write(kGaHead, ~std::uint64_t{0});
  EXPECT_EQ(machine.read(kGaHead), 0x7fff8U);
}

TEST(RegisterTest, OtherSizesAndPlacesAreNoAccesses) {
  Machine machine;
  machine.write(kDevTab, 0x1000);
  for (const unsigned size : {0U, 1U, 2U, 3U, 16U}) {
    EXPECT_EQ(machine.read(kDevTab, size), 0U);
    machine.write(kDevTab, 0xffff, size);
  }
  machine.write(kDevTab + 2, 0xffff, 4);
  machine.write(~std::uint64_t{0} - 3, 1, 4);
  machine.write(0x4000, 1, 8);
  machine.write(0x3ffc, 1, 8);
  EXPECT_EQ(machine.read(kDevTab), 0x1000U);
  EXPECT_EQ(machine.read(0x3ff8), 0U);
}

TEST(RegisterTest, WritingABaseEmptiesItsRing) {
  Machine machine;
  machine.write(kCmdTail, 0x40, 4);
  machine.write(kCmdHead, 0x40, 4);
  machine.write(kCmdBase, kRing | kLength256);
  EXPECT_EQ(machine.read(kCmdHead), 0U);
  EXPECT_EQ(machine.read(kCmdTail), 0U);
}

TEST(RegisterTest, ARunningRingBelongsToTheUnit) {
  Machine machine;
  machine.start();
  machine.write(kCmdBase, 0x1000);
  machine.write(kCmdHead, 0x40, 4);
  machine.write(kEvtBase, 0x1000);
  machine.write(kEvtTail, 0x40, 4);
  EXPECT_EQ(machine.read(kCmdBase), kRing | kLength256);
  EXPECT_EQ(machine.read(kCmdHead), 0U);
  EXPECT_EQ(machine.read(kEvtBase), kLog | kLength256);
  EXPECT_EQ(machine.read(kEvtTail), 0U);
}

TEST(RegisterTest, RunBitsFollowTheirEnables) {
  Machine machine;
  machine.write(kCtrl, kEvtLogEn | kCmdBufEn);
  EXPECT_EQ(machine.read(kStat), 0U);
  machine.write(kCtrl, kEvtLogEn | kCmdBufEn | kIommuEn);
  EXPECT_EQ(machine.read(kStat), kStEvtRun | kStCmdRun);
  machine.write(kStat, ~std::uint64_t{0});  // the run bits are not software's
  EXPECT_EQ(machine.read(kStat), kStEvtRun | kStCmdRun);
  // Linux turns everything off one bit at a time, by reading and writing 64 bits.
  machine.write(kCtrl, machine.read(kCtrl) & ~kCmdBufEn);
  EXPECT_EQ(machine.read(kStat), kStEvtRun);
  machine.write(kCtrl, machine.read(kCtrl) & ~kEvtLogEn);
  EXPECT_EQ(machine.read(kStat), 0U);
  machine.write(kCtrl, machine.read(kCtrl) & ~kIommuEn);
  EXPECT_EQ(machine.read(kCtrl), 0U);
  // The logs of page requests and of guest interrupts too (Linux waits 20 s for the latter).
  machine.write(kCtrl, kIommuEn | kPprEn | kPprLogEn | kGaLogEn);
  EXPECT_EQ(machine.read(kStat), 0x180U);
}

// The bits of QEMU's and Linux's headers: 0 PreF, 1 PPR, 2 XT, 3 NX, 4 GT, 6 IA, 7 GA, 11:10 HATS,
// 13:12 GATS, 15:14 GLX, 23:21 GAM, 36:32 PASmax, 37 US, 48 GIO, 49 HA, 50 EPH, 52 HD.
TEST(RegisterTest, EveryProfileReportsWhatItHas) {
  struct Row {
    Profile profile;
    std::uint64_t efr, efr2;
  };
  const Row rows[] = {
      {Profile::kV1, 0x840, 0x800},
      {Profile::kV1Xt, 0x8c4, 0x800},
      {Profile::kV2, 0, 0x800},
      {Profile::kFull, 0, 0x808},
  };
  for (const Row& row : rows) {
    Machine machine(options_for(row.profile));
    EXPECT_EQ(machine.read(kEfr2), row.efr2);
    if (row.efr != 0) {
      EXPECT_EQ(machine.read(kEfr), row.efr);
    }
    machine.write(kEfr, ~std::uint64_t{0});
    machine.write(kEfr2, 0);
    EXPECT_EQ(machine.read(kEfr2), row.efr2);
  }
  const auto bits = [](std::initializer_list<unsigned> set) {
    std::uint64_t word = 0;
    for (const unsigned bit : set) word |= std::uint64_t{1} << bit;
    return word;
  };
  const std::uint64_t v2 = bits({1, 2, 3, 4, 6, 7, 11, 14, 37, 48, 50}) | std::uint64_t{15} << 32;
  EXPECT_EQ(Machine(options_for(Profile::kV2)).read(kEfr), v2);
  const std::uint64_t full =
      bits({0, 1, 2, 3, 4, 6, 7, 11, 12, 15, 21, 37, 48, 49, 50, 52}) | std::uint64_t{19} << 32;
  EXPECT_EQ(Machine(options_for(Profile::kFull)).read(kEfr), full);
}

TEST(RegisterTest, RegistersOfMissingFeaturesAreNotThere) {
  Machine machine(options_for(Profile::kV1));
  for (const std::uint64_t at : {kPprBase, kGaBase, kGaTailAddr, kXtEvt, kXtPpr, kXtGa, kPprHead,
                                 kPprTail, kGaHead, kGaTail}) {
    machine.write(at, ~std::uint64_t{0});
    EXPECT_EQ(machine.read(at), 0U) << std::hex << at;
  }
}

TEST(RegisterTest, ResetIsPowerOn) {
  Machine machine;
  machine.start();
  machine.attach(kDevice, 3, 7);
  EXPECT_EQ(machine.dma(0x5000), std::nullopt);
  (void)machine.iommu->reset();
  for (std::uint64_t at = 0; at < 0x4000; at += 8) {
    const std::uint64_t now = machine.read(at);
    if (at == kEfr || at == kEfr2) continue;
    if (at == kCmdBase || at == kEvtBase || at == kPprBase || at == kGaBase)
      EXPECT_EQ(now, kLength256);
    else
      EXPECT_EQ(now, at == kExclLimit ? 0xfffU : 0U) << std::hex << at;
  }
  EXPECT_EQ(machine.dma(0x5000), 0x5000U);
}

// The unit's own interrupts as x2APIC messages, as seen of Linux: 2000000104h is vector 20h,
// logical.
TEST(RegisterTest, OwnInterruptsByXtRegisters) {
  Machine machine;
  machine.start(kUsual | kIntCapXtEn | kWaitIntEn);
  machine.unit->set_msi(Msi{.address = 0xfee01000, .data = 0x99});
  machine.write(kXtEvt, 0x12'0000'21'12345604ULL);
  EXPECT_EQ(machine.read(kXtEvt), 0x12'0000'21'12345604ULL);
  machine.post(std::uint64_t{1} << 60 | 2);
  ASSERT_EQ(machine.sinks.unit_msis.size(), 1U);
  // Destination 12123456h: low byte in address bits 19:12, the others from bit 40 on.
  EXPECT_EQ(machine.sinks.unit_msis[0].address, 0x12123400'fee56004ULL);
  EXPECT_EQ(machine.sinks.unit_msis[0].data & 0x7ffU, 0x21U);
}

}  // namespace
}  // namespace weir::amdvi::test
