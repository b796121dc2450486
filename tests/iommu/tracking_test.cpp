// SPDX-License-Identifier: Apache-2.0
//
// What the books say of invalidations, and what invalidations of the worst kind cost everybody
// else: ranges at the ends of the space and beyond any use, and storms from one guest while another
// holds a pin.
#include <gtest/gtest.h>

#include <limits>

#include "tests/iommu/machine.h"
#include "tests/iommu/table_unit.h"

namespace weir::testing_iommu {
namespace {

using iotlb::Invalidation;
using iotlb::Scope;

constexpr std::uint16_t kSid = 0x20;
constexpr std::uint16_t kOtherSid = 0x28;

// Two functions of two domains, walked through walk caches.
class Tracking : public testing::Test {
 protected:
  Tracking() {
    (void)unit.set_mode(UnitMode::kTranslating);
    unit.set_context(Requester::from_sid(kSid), TableUnit::second_stage(1, tables.root()));
    unit.set_context(Requester::from_sid(kOtherSid),
                     TableUnit::second_stage(2, other_tables.root()));
    tables.map(Iova(0x5000), kData, 4 * kPageSize);
    other_tables.map(Iova(0x5000), kData, 4 * kPageSize);
    port = machine.attach(kSid);
    other = machine.attach(kOtherSid);
  }
  [[nodiscard]] InvalidationStats of(Scope scope) const {
    return machine.iommu->stats().invalidations[static_cast<std::size_t>(scope)];
  }
  [[nodiscard]] Outcome outcome(DmaPort& by, Iova at = Iova(0x5000)) {
    const auto t = by.translate(at, 4, Access::kRead);
    return t ? t->outcome : Outcome::kFaulted;
  }

  Machine machine{Machine::Options{.add_unit = false}};
  TableUnit& unit = machine.iommu->add_unit<TableUnit>(kUnitBase);
  Tables tables{machine};
  Tables other_tables{machine};
  std::unique_ptr<DmaPort> port;
  std::unique_ptr<DmaPort> other;
};

TEST_F(Tracking, CommandsAndWhatTheyDid) {
  (void)outcome(*port);
  Invalidation leaf = flush_page(1, Iova(0x5000), 2 * kPageSize);
  leaf.leaf_only = true;
  unit.post(leaf);
  EXPECT_EQ(of(Scope::kRange).commands, 1u);
  EXPECT_EQ(of(Scope::kRange).covered, 2u);
  EXPECT_EQ(of(Scope::kRange).removed, 1u);
  EXPECT_EQ(of(Scope::kRange).removed_walk_entries, 0u) << "the hint keeps them";
  EXPECT_EQ(of(Scope::kRange).useless, 0u);
  // What is left are three tables, root's entry to last.
  unit.post(flush_page(1, Iova(0x5000)));
  EXPECT_EQ(of(Scope::kRange).commands, 2u);
  EXPECT_EQ(of(Scope::kRange).leaf_only, 1u);
  EXPECT_EQ(of(Scope::kRange).covered, 3u);
  EXPECT_EQ(of(Scope::kRange).removed, 1u);
  EXPECT_GT(of(Scope::kRange).removed_walk_entries, 0u);
  EXPECT_EQ(of(Scope::kRange).useless, 0u) << "tables went";
  unit.post(flush_page(1, Iova(0x5000)));
  EXPECT_EQ(of(Scope::kRange).useless, 1u);
  unit.post({.scope = Scope::kDomain, .domain = DomainId{1}});
  EXPECT_EQ(of(Scope::kDomain).covered, 0u) << "it names no pages";
}

TEST_F(Tracking, TimeThatCompletionsWait) {
  auto pin = port->map(Iova(0x5000), 4, Access::kWrite);
  ASSERT_TRUE(pin);
  unit.post(flush_page(1, Iova(0x5000)));
  machine.clock.advance(std::chrono::milliseconds(3));
  EXPECT_EQ(machine.iommu->stats().wait_time, Clock::Duration::zero()) << "it has not ended";
  pin->release();
  const Stats stats = machine.iommu->stats();
  EXPECT_EQ(stats.waits_parked, 1u);
  EXPECT_EQ(stats.wait_time, std::chrono::milliseconds(3));
  EXPECT_EQ(stats.longest_wait, std::chrono::milliseconds(3));
}

// A guest may name any page, all pages, or one byte at the very end.
TEST_F(Tracking, RangesAtTheEndsOfTheSpace) {
  constexpr Iova kLast{std::numeric_limits<std::uint64_t>::max()};
  for (const auto& range : {AddressRange<Iova>{kLast, kLast}, AddressRange<Iova>{Iova(0), Iova(0)},
                            AddressRange<Iova>{kLast.page_base(kPageLg2), kLast},
                            AddressRange<Iova>{Iova(std::uint64_t{1} << 57), kLast}}) {
    (void)outcome(*port);
    unit.post({.scope = Scope::kRange, .domain = DomainId{1}, .range = range});
    EXPECT_EQ(outcome(*port), Outcome::kHit) << "none of them names its page";
  }
  for (int times = 0; times < 3; ++times)
    unit.post({.scope = Scope::kRange, .domain = DomainId{1}, .range = whole_space<Iova>()});
  EXPECT_EQ(outcome(*port), Outcome::kWalked);
  EXPECT_GT(of(Scope::kRange).covered, std::uint64_t{1} << 52);
  EXPECT_EQ(unit.completed(), 7u);
}

// The books' sum of named pages saturates; it does not begin again.
TEST_F(Tracking, NamedPagesSaturate) {
  for (int times = 0; times < 5000; ++times)
    unit.post({.scope = Scope::kRange, .domain = DomainId{9}, .range = whole_space<Iova>()});
  EXPECT_GE(of(Scope::kRange).covered, std::uint64_t{4095} << 52);
}

// One guest floods the unit. Another's entries stay (L5), its requests stay hits, and nobody is
// kept waiting by tickets that pile up behind a pin of the first.
TEST_F(Tracking, AStormCostsOthersNothing) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  constexpr int kStorm = 100'000;
#else
  constexpr int kStorm = 1'000'000;
#endif
  auto pin = port->map(Iova(0x5000), 4, Access::kWrite);
  ASSERT_TRUE(pin);
  (void)outcome(*other);
  UnitHost& host = unit.host();
  const std::uint64_t polls = unit.polls();
  std::vector<Ticket> some;
  for (int i = 0; i < kStorm; ++i) {
    const auto at = Iova((static_cast<std::uint64_t>(i) % 1024 + 5) << 12);
    const Ticket ticket = i % 16 == 0
                              ? host.invalidate({.scope = Scope::kDomain, .domain = DomainId{1}})
                              : host.invalidate(flush_page(1, at));
    if (i % 12'800 == 0) some.push_back(ticket);  // of the whole domain
    if (i % 1000 == 0) {
      ASSERT_EQ(outcome(*other), Outcome::kHit);
    }
  }
  EXPECT_EQ(unit.polls(), polls) << "the other's bursts end without a poll";
  for (const Ticket ticket : some) EXPECT_FALSE(host.settled(ticket));
  machine.clock.advance(std::chrono::seconds(10));
  machine.iommu->poll();
  machine.iommu->poll();
  EXPECT_EQ(machine.seen.stuck.size(), 1u) << "said once, however many wait for it";
  EXPECT_TRUE(machine.iommu->revoke(pin->id()));
  for (const Ticket ticket : some) EXPECT_TRUE(host.settled(ticket));
}

}  // namespace
}  // namespace weir::testing_iommu
