// SPDX-License-Identifier: Apache-2.0
//
// Protected memory regions (10.4.16 to 10.4.20): blocked while translation is off, for pass-through
// and for translated requests while it is on, never recorded, and not for what tables translate.
#include <gtest/gtest.h>

#include "tests/vtd/whole_machine.h"

namespace weir::vtd::test {
namespace {

constexpr std::uint16_t kSid = 0x0010;
// Registers and bits as the datasheets have them.
constexpr std::uint64_t kPmen = 0x64, kPlmbase = 0x68, kPlmlimit = 0x6c;
constexpr std::uint64_t kInside = 0x400000, kOutside = 0x200000;

class ProtectedMemoryTest : public ::testing::Test {
 protected:
  ProtectedMemoryTest() : machine_(profile::full()) {
    machine_.writel(kPlmbase, kInside);
    machine_.writel(kPlmlimit, kInside);
    // No high region: its base is above its limit.
    machine_.writeq(0x70, 0x200000000);
    machine_.writeq(0x78, 0x100000000);
  }
  void protect(bool on) {
    machine_.writel(kPmen, on ? 1U << 31 : 0);
    EXPECT_EQ(machine_.readl(kPmen), on ? 0x80000001U : 0U) << "PRS follows EPM";
  }
  WholeMachine machine_;
};

TEST_F(ProtectedMemoryTest, BlocksWhatNoTableTranslates) {
  EXPECT_EQ(machine_.write_code(kSid, kInside), 0U);
  protect(true);
  EXPECT_EQ(machine_.write_code(kSid, kInside), ~0U);
  EXPECT_EQ(machine_.write_code(kSid, kInside + 0x1ffffc), ~0U);
  EXPECT_EQ(machine_.read_code(kSid, kInside + 0x1000), ~0U);
  EXPECT_EQ(machine_.write_code(kSid, kInside + 0x200000), 0U);
  EXPECT_EQ(machine_.write_code(kSid, kInside - 4), 0U);
  EXPECT_TRUE(machine_.take_faults().empty());
  protect(false);
  EXPECT_EQ(machine_.write_code(kSid, kInside), 0U);
}

TEST_F(ProtectedMemoryTest, WithTranslationOn) {
  const std::uint64_t root = machine_.page(), contexts = machine_.page(),
                      directory = machine_.page(), pasids = machine_.page(),
                      tables = machine_.page();
  machine_.put(root, contexts | 1);
  machine_.put(contexts + kSid * 32, directory | 0xd);
  machine_.put(directory, pasids | 1);
  machine_.put(pasids + 8, 1);
  machine_.put(pasids, 4 << 6 | 1);  // PASID 0: pass-through
  machine_.put(pasids + 64 + 8, 5 | 1 << 23);
  machine_.put(pasids + 64, tables | 2 << 2 | 2 << 6 | 1);
  machine_.put(machine_.entry_for(tables, 4, 0x1000, 3), kInside | 3);
  machine_.writeq(0x20, root | 0x400);
  machine_.command(WholeMachine::kSrtp);
  machine_.command(WholeMachine::kTe);
  const DmaAttributes translated{.address_type = AddressType::kTranslated};
  const DmaAttributes mapped{.pasid = Pasid{1}};
  EXPECT_EQ(machine_.write_code(kSid, kInside), 0U);
  EXPECT_EQ(machine_.write_code(kSid, kInside, translated), 0U);
  protect(true);
  EXPECT_EQ(machine_.write_code(kSid, kInside), ~0U);
  EXPECT_EQ(machine_.write_code(kSid, kOutside), 0U);
  EXPECT_EQ(machine_.write_code(kSid, kInside, translated), ~0U);
  EXPECT_EQ(machine_.write_code(kSid, kOutside, translated), 0U);
  EXPECT_EQ(machine_.write_code(kSid, 0x1000, mapped), 0U)
      << "remapped DMA is the tables' business";
  EXPECT_TRUE(machine_.take_faults().empty());
  machine_.command(WholeMachine::kTe, false);
  EXPECT_EQ(machine_.write_code(kSid, kInside), ~0U);
  machine_.command(WholeMachine::kTe);
  protect(false);
  EXPECT_EQ(machine_.write_code(kSid, kInside), 0U);
}

}  // namespace
}  // namespace weir::vtd::test
