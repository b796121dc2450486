// SPDX-License-Identifier: Apache-2.0
//
// L9 over long random runs: every piece ends as exactly one outcome, every fault has one reason and
// reaches the sink once, and what the invalidations say they removed is what was filled.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "tests/iommu/machine.h"

namespace weir::testing_iommu {
namespace {

constexpr std::array<std::uint16_t, 5> kSids{0x20, 0x28, 0x30, 0x38, 0x40};

// Counts the pieces from outside: the answers of translate, one by one.
class Run {
 public:
  Run(std::uint32_t seed, CacheOptions caches)
      : machine_({.caches = caches,
                  .coverage = {{UnitCoverage{.register_base = kUnitBase,
                                             .scopes = {{.start_bus = 0, .path = {{4, 0}}},
                                                        {.start_bus = 0, .path = {{5, 0}}},
                                                        {.start_bus = 0, .path = {{6, 0}}},
                                                        {.start_bus = 0, .path = {{7, 0}}}}}}}}),
        random_(seed) {
    machine_.unit->set_context(Requester::from_sid(kSids[0]),
                               FakeUnit::second_stage(1, tables_.root()));
    machine_.unit->set_context(Requester::from_sid(kSids[1]),
                               FakeUnit::second_stage(2, tables_.root()));
    iotlb::Context pass;
    pass.kind = iotlb::ContextKind::kPassThrough;
    pass.input_bits = 20;
    machine_.unit->set_context(Requester::from_sid(kSids[2]), pass);
    // The fourth has no context, the fifth no unit.
    for (const std::uint16_t sid : kSids) ports_.push_back(machine_.attach(sid));
  }

  void operation() {
    switch (pick(12)) {
      case 0:
        tables_.map(page(), kData + pick(64) * kPageSize, kPageSize,
                    Permissions::from_bits(1 + pick(3)), 12);
        break;
      case 1:
        tables_.unmap(page());
        break;
      case 2:
        flush();
        break;
      case 3:
        atomic();
        break;
      case 4:
        pin();
        break;
      case 5:
        (void)port().peek(page(), Access::kRead);
        break;
      case 6:
        message();
        break;
      default:
        burst();
    }
  }

  void check() {
    const Stats stats = machine_.iommu->stats();
    for (std::size_t i = 0; i < kOutcomeCount; ++i)
      ASSERT_EQ(stats.outcomes[i], expected_[i]) << to_string(static_cast<Outcome>(i));
    ASSERT_EQ(faults_by_reason(stats), stats.of(Outcome::kFaulted));
    ASSERT_EQ(machine_.seen.faults.size(), stats.of(Outcome::kFaulted));
    // Each walk was answered, faulted, or refused by the host map after it.
    ASSERT_GE(stats.walks, stats.of(Outcome::kWalked));
    ASSERT_LE(stats.walks, stats.of(Outcome::kWalked) + stats.of(Outcome::kFaulted));
    std::uint64_t codes = 0;
    for (const auto& [code, count] : stats.fault_codes) codes += count;
    ASSERT_EQ(machine_.unit->recorded().size(), codes) << "this unit records all of its own";
    ASSERT_EQ(stats.refused_fills, 0u) << "nothing runs beside it";
  }
  // Everything that was filled is evicted, replaced, removed or still there.
  void check_removals() {
    machine_.unit->post({.scope = iotlb::Scope::kAll});
    const Stats stats = machine_.iommu->stats();
    std::uint64_t removed = 0;
    std::uint64_t commands = 0;
    for (const InvalidationStats& scope : stats.invalidations) {
      removed += scope.removed;
      commands += scope.commands;
    }
    const auto& contexts = stats.invalidations[static_cast<std::size_t>(iotlb::Scope::kContextAll)];
    const std::uint64_t entries = removed - contexts.removed;
    ASSERT_LE(entries + stats.evictions, stats.fills);
    ASSERT_EQ(commands, flushes_ + 1);
    ASSERT_GT(stats.of(Outcome::kHit), 30u);
    ASSERT_GT(stats.of(Outcome::kFaulted), 100u);
  }

 private:
  std::uint64_t pick(std::uint64_t limit) { return random_() % limit; }
  Iova page() { return Iova((0x10 + pick(8)) << 12); }
  DmaPort& port() { return *ports_[pick(ports_.size())]; }
  Access access() { return static_cast<Access>(pick(3)); }
  void expect(Outcome outcome) { ++expected_[static_cast<std::size_t>(outcome)]; }

  // A transfer piece by piece, as the port's own copies make it.
  void burst() {
    DmaPort::Burst burst(port());
    const Access how = access();
    Iova at = page() + pick(kPageSize);
    for (std::uint64_t left = pick(3 * kPageSize); left > 0;) {
      const auto got = burst.translate(at, left, how);
      if (!got) return expect(Outcome::kFaulted);
      expect(got->outcome);
      ASSERT_GT(got->length, 0u);
      ASSERT_LE(got->length, left);
      at = at + got->length;
      left -= got->length;
    }
  }
  void atomic() {
    const Stats before = machine_.iommu->stats();
    const Iova at = page() + pick(kPageSize);
    const auto got = port().fetch_add(at, 1);
    take_over(before, 1, !got);
  }
  void pin() {
    const Stats before = machine_.iommu->stats();
    const auto got = port().map(page() + pick(kPageSize), 1 + pick(2 * kPageSize), access());
    take_over(before, 0, !got);
  }
  void message() {
    const bool good = pick(2) == 0;
    const std::array<std::byte, 8> data{};
    const auto got = port().write(Iova(0xfee00000), std::span(data).first(good ? 4 : 8));
    ASSERT_EQ(got.ok(), good);
    expect(good ? Outcome::kInterrupt : Outcome::kFaulted);
  }
  // What a call of several steps booked: `pieces` (0: at least one), of which the last faulted or
  // none did.
  void take_over(const Stats& before, std::uint64_t pieces, bool faulted) {
    const Stats after = machine_.iommu->stats();
    const std::uint64_t more = after.pieces() - before.pieces();
    if (pieces != 0) {
      ASSERT_EQ(more, pieces);
    }
    ASSERT_GT(more, 0u);
    ASSERT_EQ(after.of(Outcome::kFaulted) - before.of(Outcome::kFaulted), faulted ? 1u : 0u);
    for (std::size_t i = 0; i < kOutcomeCount; ++i)
      expected_[i] += after.outcomes[i] - before.outcomes[i];
  }
  void flush() {
    ++flushes_;
    switch (pick(4)) {
      case 0:
        machine_.unit->post({.scope = iotlb::Scope::kDomain, .domain = DomainId{1}});
        break;
      case 1:
        machine_.unit->post({.scope = iotlb::Scope::kContextAll});
        break;
      default:
        machine_.unit->post(flush_page(static_cast<std::uint32_t>(1 + pick(2)), page()));
    }
  }

  Machine machine_;
  Tables tables_{machine_};
  std::vector<std::unique_ptr<DmaPort>> ports_;
  std::mt19937_64 random_;
  std::array<std::uint64_t, kOutcomeCount> expected_{};
  std::uint64_t flushes_ = 0;
};

void run_books(CacheOptions caches) {
  for (std::uint32_t seed = 0; seed < 10; ++seed) {
    Run run(seed, caches);
    for (int i = 0; i < 3000; ++i) {
      run.operation();
      ASSERT_FALSE(testing::Test::HasFatalFailure()) << "seed " << seed << " operation " << i;
      if (i % 100 == 0) run.check();
      ASSERT_FALSE(testing::Test::HasFatalFailure()) << "seed " << seed << " operation " << i;
    }
    run.check();
    run.check_removals();
    ASSERT_FALSE(testing::Test::HasFatalFailure()) << "seed " << seed;
  }
}

TEST(Books, AddUpOverRandomRuns) { run_books({}); }
TEST(Books, AddUpWithATinyCache) { run_books({.entries = 4}); }
TEST(Books, AddUpWithTheReference) {
  run_books({.organisation = CacheOptions::Organisation::kReference, .entries = 8});
}

// Fills = removed + evicted, exactly, where no fill replaces another.
TEST(Books, EveryFillIsAccountedFor) {
  for (const auto organisation :
       {CacheOptions::Organisation::kSetAssociative, CacheOptions::Organisation::kReference}) {
    Machine machine({.caches = {.organisation = organisation, .entries = 16}});
    Tables tables(machine);
    machine.unit->set_context(Requester::from_sid(0x20), FakeUnit::second_stage(1, tables.root()));
    const auto port = machine.attach(0x20);
    tables.map(Iova(0), kData, 100 * kPageSize, Permissions::read_write(), 12);
    for (std::uint64_t page = 0; page < 100; ++page)
      ASSERT_TRUE(port->translate(Iova(page << 12), 4, Access::kRead));
    machine.unit->post({.scope = iotlb::Scope::kAll});
    const Stats stats = machine.iommu->stats();
    const auto& flush = stats.invalidations[static_cast<std::size_t>(iotlb::Scope::kAll)];
    EXPECT_EQ(stats.fills, 100u);
    EXPECT_EQ(flush.removed + stats.evictions, 100u);
    EXPECT_LE(flush.removed, 16u);
    EXPECT_EQ(flush.commands, 1u);
    EXPECT_EQ(flush.useless, 0u);
  }
}

TEST(Books, OutcomesHaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kOutcomeCount; ++i) names.insert(to_string(static_cast<Outcome>(i)));
  EXPECT_EQ(names.size(), kOutcomeCount);
  EXPECT_FALSE(names.contains("unknown"));
}

}  // namespace
}  // namespace weir::testing_iommu
