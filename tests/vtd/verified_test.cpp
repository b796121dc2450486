// SPDX-License-Identifier: Apache-2.0
//
// Verified mode through a VT-d unit: within one burst, every word of root entry, context entry and
// tables is compared before every answer, without a flush or a new burst in between. Entries are
// numbers, as a driver has them (9.1, 9.3, 9.8).
#include <gtest/gtest.h>

#include "tests/vtd/whole_machine.h"

namespace weir::vtd::test {
namespace {

constexpr std::uint16_t kSid = 0x10;  // 00:02.0
constexpr std::uint64_t kIova = 0x5000;
constexpr std::uint64_t kData = 0x700000;

class VerifiedUnit : public testing::Test {
 protected:
  VerifiedUnit() {
    machine.put(root, contexts | 1);
    write_context(map_at(kData));
    machine.writeq(0x20, root);
    machine.command(WholeMachine::kSrtp);
    machine.command(WholeMachine::kTe);
  }
  // Tables of four levels with one page; gives their root.
  std::uint64_t map_at(std::uint64_t to) {
    const std::uint64_t table = machine.page();
    machine.put(machine.entry_for(table, 4, kIova, 3), to | 3);
    return table;
  }
  void write_context(std::uint64_t table) {
    machine.put(context + 8, 0x102);  // domain 1, four levels
    machine.put(context, table | 1);
  }
  [[nodiscard]] Outcome outcome(DmaPort::Burst& burst) {
    const auto t = burst.translate(Iova(kIova), 4, Access::kRead);
    return t ? t->outcome : Outcome::kFaulted;
  }
  [[nodiscard]] std::uint64_t leads_to(DmaPort::Burst& burst) {
    const auto t = burst.translate(Iova(kIova), 4, Access::kRead);
    return t ? t->gpa.value() : 0;
  }

  WholeMachine machine{{}, {.verified = true}};
  const std::uint64_t root = machine.page();
  const std::uint64_t contexts = machine.page();
  const std::uint64_t context = contexts + kSid * 16;
};

TEST_F(VerifiedUnit, HitsReadNoContextAgain) {
  DmaPort::Burst burst(machine.device(kSid));
  EXPECT_EQ(outcome(burst), Outcome::kWalked);
  const std::uint64_t reads = machine.iommu().stats().context_reads;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(outcome(burst), Outcome::kHit);
  const Stats stats = machine.iommu().stats();
  EXPECT_EQ(stats.context_reads, reads);
  EXPECT_EQ(stats.exposed, 4U) << "the walk, and each of the hits";
}

TEST_F(VerifiedUnit, EveryWordOfTheContextIsCompared) {
  DmaPort::Burst burst(machine.device(kSid));
  const std::uint64_t mine = machine.get(context);
  const std::uint64_t other = map_at(kData + 0x1000);
  const auto is_at_home = [&] {
    EXPECT_EQ(leads_to(burst), kData);
    EXPECT_EQ(outcome(burst), Outcome::kHit);
  };
  is_at_home();
  write_context(other);
  EXPECT_EQ(leads_to(burst), kData + 0x1000);
  write_context(mine & ~std::uint64_t{0xfff});
  is_at_home();
  machine.put(context + 8, 0x101);  // three levels
  EXPECT_NE(leads_to(burst), kData);
  machine.put(context + 8, 0x102);
  is_at_home();
  machine.put(context, 0);
  EXPECT_EQ(outcome(burst), Outcome::kFaulted);
  machine.put(context, mine);
  is_at_home();
  // Another context table, in which the function has other tables.
  const std::uint64_t elsewhere = machine.page();
  machine.put(elsewhere + kSid * 16 + 8, 0x102);
  machine.put(elsewhere + kSid * 16, other | 1);
  machine.put(root, elsewhere | 1);
  EXPECT_EQ(leads_to(burst), kData + 0x1000);
  machine.put(root + 8, 1);  // reserved
  EXPECT_EQ(outcome(burst), Outcome::kFaulted);
  machine.put(root + 8, 0);
  machine.put(root, contexts | 1);
  is_at_home();
}

TEST_F(VerifiedUnit, EveryWordOfTheTablesIsCompared) {
  DmaPort::Burst burst(machine.device(kSid));
  EXPECT_EQ(leads_to(burst), kData);
  std::uint64_t table = machine.get(context) & ~std::uint64_t{0xfff};
  for (unsigned level = 4; level > 0; --level) {
    const std::uint64_t at = table + (kIova >> (12 + 9 * (level - 1)) & 0x1ff) * 8;
    const std::uint64_t entry = machine.get(at);
    EXPECT_EQ(outcome(burst), Outcome::kHit);
    machine.put(at, 0);
    EXPECT_EQ(outcome(burst), Outcome::kFaulted) << level;
    machine.put(at, entry);
    EXPECT_EQ(leads_to(burst), kData);
    table = entry & ~std::uint64_t{0xfff};
  }
}

// What is not in the tables but in registers goes by the number that every request compares.
TEST_F(VerifiedUnit, TranslationOffIsSeen) {
  DmaPort::Burst burst(machine.device(kSid));
  EXPECT_EQ(leads_to(burst), kData);
  EXPECT_EQ(outcome(burst), Outcome::kHit);
  const std::uint64_t another = machine.page();
  const std::uint64_t elsewhere = machine.page();
  machine.put(another, elsewhere | 1);
  machine.put(elsewhere + kSid * 16 + 8, 0x102);
  machine.put(elsewhere + kSid * 16, map_at(kData + 0x3000) | 1);
  machine.writeq(0x20, another);
  machine.writel(0x18, WholeMachine::kTe | WholeMachine::kSrtp);
  EXPECT_EQ(leads_to(burst), kData + 0x3000);
}

TEST_F(VerifiedUnit, BusMasteringAndPermissionsStillCount) {
  DmaPort::Burst burst(machine.device(kSid));
  EXPECT_EQ(leads_to(burst), kData);
  EXPECT_EQ(outcome(burst), Outcome::kHit);
  std::uint64_t leaf = machine.entry_for(machine.get(context) & ~std::uint64_t{0xfff}, 4, kIova, 3);
  machine.put(leaf, kData | 1);
  EXPECT_FALSE(burst.translate(Iova(kIova), 4, Access::kWrite));
  EXPECT_TRUE(burst.translate(Iova(kIova), 4, Access::kRead));
  EXPECT_TRUE(burst.translate(Iova(kIova), 4, Access::kRead));
  EXPECT_FALSE(burst.translate(Iova(kIova), 4, Access::kWrite));
  EXPECT_EQ(burst.translate(Iova(kIova + 0xffe), 4, Access::kRead)->length, 2U);
}

}  // namespace
}  // namespace weir::vtd::test
