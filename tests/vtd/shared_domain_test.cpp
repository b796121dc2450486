// SPDX-License-Identifier: Apache-2.0
//
// L10: two functions share a domain, a PASID and first-stage tables, and differ in what their PASID
// and context entries let them do. Neither ever gets the other's rights, whoever filled the caches.
// And what nested translation costs through the whole unit.
#include <gtest/gtest.h>

#include "tests/vtd/whole_machine.h"

namespace weir::vtd::test {
namespace {

constexpr std::uint16_t kLax = 0x0010, kStrict = 0x0018;
constexpr std::uint32_t kPasid = 3;
constexpr std::uint16_t kDid = 9;
constexpr std::uint64_t kReadOnly = 0x1000, kSupervisor = 0x2000, kNoExecute = 0x3000,
                        kPlain = 0x4000;
constexpr std::uint64_t kSre = 1, kEre = 2, kWpe = 16, kNxe = 32;

class SharedDomainTest : public ::testing::TestWithParam<bool> {
 protected:
  // With caches and without.
  SharedDomainTest() : machine_(profile::full(), caches()) {
    machine_.start_queue();
    const std::uint64_t root = machine_.page();
    contexts_ = machine_.page();
    tables_ = machine_.page();
    machine_.put(root, contexts_ | 1);
    machine_.writeq(0x20, root | 0x400);
    machine_.command(WholeMachine::kSrtp);
    machine_.command(WholeMachine::kTe);
    page(kReadOnly, 5);
    page(kSupervisor, 3);
    page(kNoExecute, 7 | std::uint64_t{1} << 63);
    page(kPlain, 7);
  }
  static CacheOptions caches() {
    if (GetParam()) return {};
    return {.entries = 0, .walk = {.stage1_tables = 0, .stage2_tables = 0, .stage2_pages = 0}};
  }
  void page(std::uint64_t iova, std::uint64_t bits) {
    machine_.put(machine_.entry_for(tables_, 4, iova, 7), machine_.page() | bits);
  }
  // DTE only for those who are given ATS.
  void set(std::uint16_t sid, std::uint64_t bits, bool ats) {
    const std::uint64_t directory = machine_.page(), pasids = machine_.page();
    machine_.put(directory, pasids | 1);
    machine_.put(pasids + kPasid * 64 + 16, tables_ | bits);
    machine_.put(pasids + kPasid * 64 + 8, kDid | 1 << 23);
    machine_.put(pasids + kPasid * 64, 1 << 6 | 1);
    machine_.put(contexts_ + (sid & 0x7f) * 32, directory | 9 | (ats ? 4U : 0));
  }
  static DmaAttributes as(bool privileged, bool execute = false) {
    return {.pasid = Pasid{kPasid}, .privileged = privileged, .execute = execute};
  }
  // Several times over, so that each finds what the other has left in the caches.
  template <typename Check>
  static void both_orders(Check check) {
    for (int i = 0; i < 3; ++i) check();
  }

  WholeMachine machine_;
  std::uint64_t contexts_ = 0, tables_ = 0;
};

TEST_P(SharedDomainTest, WriteProtect) {
  set(kLax, kSre, false);
  set(kStrict, kSre | kWpe, false);
  both_orders([&] {
    EXPECT_EQ(machine_.write_code(kStrict, kReadOnly, as(true)), 0x85U);
    EXPECT_EQ(machine_.write_code(kLax, kReadOnly, as(true)), 0U);
    EXPECT_EQ(machine_.write_code(kLax, kReadOnly, as(false)), 0x85U);
    EXPECT_EQ(machine_.read_code(kStrict, kReadOnly, as(true)), 0U);
  });
}

TEST_P(SharedDomainTest, SupervisorRequests) {
  set(kLax, kSre | kWpe, false);
  set(kStrict, kWpe, false);
  both_orders([&] {
    EXPECT_EQ(machine_.read_code(kLax, kSupervisor, as(true)), 0U);
    EXPECT_EQ(machine_.read_code(kStrict, kSupervisor, as(true)), 0x5dU);
    EXPECT_EQ(machine_.read_code(kLax, kSupervisor, as(false)), 0x81U);
    EXPECT_EQ(machine_.read_code(kStrict, kSupervisor, as(false)), 0x81U);
    EXPECT_EQ(machine_.read_code(kStrict, kPlain, as(false)), 0U);
  });
}

TEST_P(SharedDomainTest, Execution) {
  set(kLax, kWpe | kEre, false);
  set(kStrict, kWpe | kEre | kNxe, false);
  both_orders([&] {
    EXPECT_EQ(machine_.read_code(kLax, kNoExecute, as(false, true)), 0U);
    EXPECT_EQ(machine_.read_code(kStrict, kNoExecute, as(false, true)), 0x82U);
    EXPECT_EQ(machine_.read_code(kStrict, kNoExecute, as(false)), 0U);
  });
}

TEST_P(SharedDomainTest, TranslatedRequests) {
  set(kLax, kWpe, true);
  set(kStrict, kWpe, false);
  const DmaAttributes translated{.address_type = AddressType::kTranslated};
  // Requests without PASID need an entry for PASID 0.
  for (const std::uint16_t sid : {kLax, kStrict}) {
    const std::uint64_t directory = machine_.get(contexts_ + (sid & 0x7f) * 32) & ~0xfffULL;
    const std::uint64_t pasids = machine_.get(directory) & ~0xfffULL;
    machine_.put(pasids + 8, 1);
    machine_.put(pasids, 4 << 6 | 1);
  }
  both_orders([&] {
    EXPECT_EQ(machine_.read_code(kLax, 0x100000, translated), 0U);
    EXPECT_EQ(machine_.read_code(kStrict, 0x100000, translated), 0x44U);
  });
}

INSTANTIATE_TEST_SUITE_P(Caches, SharedDomainTest, ::testing::Bool(),
                         [](const auto& cached) { return cached.param ? "Cached" : "Uncached"; });

// 24 and 35 table references through the whole unit, nothing cached; a warm one is a hit.
class NestedCostTest : public ::testing::TestWithParam<unsigned> {
 protected:
  static constexpr std::uint64_t kIova = 0x12345000;
  void build(WholeMachine& machine) {
    const unsigned levels = GetParam();
    machine.start_queue();
    const std::uint64_t root = machine.page(), contexts = machine.page(),
                        directory = machine.page(), pasids = machine.page(), upper = machine.page(),
                        lower = machine.page(), buffer = machine.page();
    machine.put(root, contexts | 1);
    machine.put(contexts + (kLax & 0x7f) * 32, directory | 1);
    machine.put(directory, pasids | 1);
    machine.put(machine.entry_for(upper, levels, kIova, 0x27), buffer | 0x67);
    for (std::uint64_t gpa = 0x100000; gpa < 0x140000; gpa += 0x1000)
      machine.put(machine.entry_for(lower, levels, gpa, 3), gpa | 3);
    machine.put(pasids + 16, upper | kWpe | (levels == 5 ? 4U : 0));
    machine.put(pasids + 8, kDid | 1 << 23);
    machine.put(pasids, lower | (levels == 5 ? 3U : 2U) << 2 | 3 << 6 | 1);
    machine.writeq(0x20, root | 0x400);
    machine.command(WholeMachine::kSrtp);
    machine.command(WholeMachine::kTe);
  }
};

TEST_P(NestedCostTest, ColdCostsEveryTable) {
  WholeMachine machine(
      profile::full(),
      {.entries = 0, .walk = {.stage1_tables = 0, .stage2_tables = 0, .stage2_pages = 0}});
  build(machine);
  const unsigned expected = (GetParam() + 1) * (GetParam() + 1) - 1;
  for (std::uint64_t i = 1; i < 4; ++i) {
    ASSERT_EQ(machine.write_code(kLax, kIova), 0U);
    const Stats stats = machine.iommu().stats();
    EXPECT_EQ(stats.references, i * expected);
    EXPECT_EQ(stats.walks, i);
    EXPECT_EQ(stats.context_reads, 1U) << "the structures are read once, and cached";
  }
}

TEST_P(NestedCostTest, WarmIsAHitLikeAnyOther) {
  WholeMachine machine(profile::full());
  build(machine);
  ASSERT_EQ(machine.write_code(kLax, kIova), 0U);
  const Stats before = machine.iommu().stats();
  for (int i = 0; i < 10; ++i) ASSERT_EQ(machine.write_code(kLax, kIova), 0U);
  const Stats after = machine.iommu().stats();
  EXPECT_EQ(after.of(Outcome::kHit), before.of(Outcome::kHit) + 10);
  EXPECT_EQ(after.references, before.references);
  EXPECT_EQ(after.walks, before.walks);
}

INSTANTIATE_TEST_SUITE_P(Levels, NestedCostTest, ::testing::Values(4U, 5U),
                         [](const auto& levels) { return "L" + std::to_string(levels.param); });

}  // namespace
}  // namespace weir::vtd::test
