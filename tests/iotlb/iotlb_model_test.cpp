// SPDX-License-Identifier: Apache-2.0
//
// Long random runs of fills, lookups and invalidations against a list that is searched from end to
// end. The list says what may be found; with the reference organisation also exactly what must be.
#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <random>

#include "iotlb/iotlb.h"

namespace weir::iotlb {
namespace {

constexpr std::uint64_t k2M = 0x200000;
constexpr std::uint64_t k1G = 0x40000000;

[[nodiscard]] bool same_entry(const Entry& a, const Entry& b) {
  return a.tag == b.tag && a.page == b.page && a.page_lg2 == b.page_lg2;
}

// Written without covers(): a flush removes an entry if they share a byte.
[[nodiscard]] bool must_go(const Invalidation& what, const Entry& e) {
  const std::uint64_t size = std::uint64_t{1} << e.page_lg2;
  const bool domain = e.tag.domain == what.domain;
  const bool pasid = what.pasid && e.tag.pasid == what.pasid->value;
  if (what.scope == Scope::kAll) return true;
  if (what.scope == Scope::kDomain) return domain;
  if (what.scope == Scope::kPasid) return domain && pasid;
  if (what.scope == Scope::kRange) {
    const bool apart = what.range.last.value() < e.page.value() ||
                       what.range.first.value() > e.page.value() + (size - 1);
    return domain && (pasid || !what.pasid) && !apart;
  }
  if (what.scope == Scope::kHostRange)
    return what.host_range.last.value() >= e.output &&
           what.host_range.first.value() <= e.output + (size - 1);
  return false;
}

class Run {
 public:
  Run(const IotlbOptions& options, std::uint32_t seed)
      : options_(options), tlb_(options), random_(seed) {}

  void operation() {
    switch (pick(16)) {
      case 0:
        invalidate();
        break;
      case 1:
      case 2:
      case 3:
      case 4:
      case 5:
        fill();
        break;
      default:
        lookup();
    }
  }
  void check_all() {
    std::size_t present = 0;
    for (const Entry& e : model_) {
      const auto hit = tlb_.peek(e.tag, e.page);
      ASSERT_TRUE(hit) << "page " << std::hex << e.page.value();
      ASSERT_EQ(hit->output, e.output);
      ++present;
    }
    ASSERT_EQ(tlb_.size(), present);
  }
  std::uint64_t hits = 0;
  std::uint64_t evictions = 0;
  std::uint64_t removed = 0;

 private:
  std::uint64_t pick(std::uint64_t limit) { return random_() % limit; }

  [[nodiscard]] Tag tag() {
    Tag t{DomainId{static_cast<std::uint32_t>(pick(3))}};
    if (pick(3) == 0) t.pasid = static_cast<std::uint32_t>(pick(3));
    return t;
  }
  // Pages of three sizes that lie side by side and never on top of each other.
  [[nodiscard]] Entry entry() {
    Entry e{.tag = tag(), .permissions = Permissions::from_bits(1 + pick(3))};
    switch (pick(3)) {
      case 0:
        e.page = Iova(pick(4) * 2 * k2M + pick(16) * 0x1000);
        break;
      case 1:
        e.page = Iova((pick(4) * 2 + 1) * k2M);
        e.page_lg2 = 21;
        break;
      default:
        e.page = Iova((1 + pick(3)) * k1G);
        e.page_lg2 = 30;
    }
    e.output = (1 + pick(64)) << 30 | (e.page_lg2 == 12 ? pick(512) << 12 : 0);
    return e;
  }

  void fill() {
    const Entry e = entry();
    const FillResult result = tlb_.fill(tlb_.begin_fill(e.tag.domain), e);
    ASSERT_NE(result, FillResult::kRefused) << "nothing runs beside it";
    const auto same = std::find_if(model_.begin(), model_.end(),
                                   [&](const Entry& m) { return same_entry(m, e); });
    ASSERT_EQ(result == FillResult::kReplaced, same != model_.end());
    if (same != model_.end()) model_.erase(same);
    if (result == FillResult::kEvicted) evict();
    model_.push_front(e);
    if (options_.reference) {
      ASSERT_LE(model_.size(), options_.entries);
    }
  }
  // Exactly one entry is gone; with the reference, the one that was used longest ago.
  void evict() {
    ++evictions;
    if (options_.reference) {
      ASSERT_EQ(model_.size(), options_.entries) << "evicted before it was full";
      model_.pop_back();
      return;
    }
    const auto before = model_.size();
    model_.remove_if([&](const Entry& m) { return !tlb_.peek(m.tag, m.page); });
    ASSERT_EQ(model_.size(), before - 1);
  }
  void lookup() {
    const Entry probe = entry();
    const Iova iova = probe.page + pick(std::uint64_t{1} << probe.page_lg2);
    const auto hit = tlb_.lookup(probe.tag, iova);
    const auto held = std::find_if(model_.begin(), model_.end(),
                                   [&](const Entry& m) { return same_entry(m, probe); });
    ASSERT_EQ(hit.has_value(), held != model_.end());
    if (!hit) return;
    ++hits;
    ASSERT_EQ(hit->output, held->output + (iova - held->page));
    ASSERT_EQ(hit->permissions, held->permissions);
    ASSERT_EQ(hit->page_lg2, held->page_lg2);
    model_.splice(model_.begin(), model_, held);
  }
  void invalidate() {
    Invalidation what;
    const std::uint64_t kind = pick(40);
    what.scope = kind == 0   ? Scope::kAll
                 : kind < 4  ? Scope::kDomain
                 : kind < 8  ? Scope::kPasid
                 : kind < 12 ? Scope::kHostRange
                             : Scope::kRange;
    const Tag t = tag();
    what.domain = t.domain;
    if (t.pasid != Context::kNoPasid) what.pasid = Pasid{t.pasid};
    const std::uint64_t first = pick(4 * k1G);
    const std::uint64_t size = std::uint64_t{1} << pick(33);
    what.range = {Iova(first), Iova(first + (size - 1))};
    if (pick(4) == 0) what.range = {Iova(entry().page), Iova(entry().page) + 0xfff};
    if (what.range.first > what.range.last) std::swap(what.range.first, what.range.last);
    const std::uint64_t host = pick(70) << 30;
    what.host_range = {Gpa(host), Gpa(host + size)};
    const std::size_t before = model_.size();
    model_.remove_if([&](const Entry& e) { return must_go(what, e); });
    const Removed gone = tlb_.invalidate(what);
    removed += gone.entries;
    ASSERT_EQ(gone.entries, before - model_.size()) << to_string(what.scope);
    ASSERT_FALSE(gone.widened);
    check_all();
  }

  const IotlbOptions options_;
  Iotlb tlb_;
  std::mt19937_64 random_;
  std::list<Entry> model_;  // what is in the cache, used last first
};

void run_model(const IotlbOptions& options, std::uint32_t seeds) {
  std::uint64_t hits = 0;
  std::uint64_t evictions = 0;
  std::uint64_t removed = 0;
  for (std::uint32_t seed = 0; seed < seeds; ++seed) {
    Run run(options, seed);
    for (int i = 0; i < 4000; ++i) {
      run.operation();
      ASSERT_FALSE(testing::Test::HasFatalFailure()) << "seed " << seed << " operation " << i;
    }
    run.check_all();
    hits += run.hits;
    evictions += run.evictions;
    removed += run.removed;
  }
  // The run has done what it is for.
  EXPECT_GT(hits, 1000u);
  EXPECT_GT(removed, 1000u);
  if (options.entries <= 64) {
    EXPECT_GT(evictions, 100u);
  }
}

TEST(IotlbModel, SetAssociativeTiny) { run_model({.entries = 16}, 20); }
TEST(IotlbModel, SetAssociativeFull) { run_model({.entries = 64}, 20); }
TEST(IotlbModel, SetAssociativeRoomy) { run_model({.entries = 4096}, 20); }
TEST(IotlbModel, ExactLeastRecentlyUsed) {
  run_model({.entries = 16, .reference = true}, 20);
  run_model({.entries = 1, .reference = true}, 60);
}
TEST(IotlbModel, ReferenceThatNeverFills) { run_model({.entries = 4096, .reference = true}, 20); }

TEST(ReferenceTlb, WithoutLimitKeepsEverything) {
  Iotlb all({.entries = 0, .reference = true});
  constexpr std::uint64_t kMany = 20000;  // the table grows several times over
  for (std::uint64_t page = 0; page < kMany; ++page)
    ASSERT_EQ(all.fill(all.begin_fill(DomainId{1}),
                       {.tag = {DomainId{1}}, .page = Iova(page << 12), .output = page << 12}),
              FillResult::kFilled);
  EXPECT_EQ(all.size(), kMany);
  for (std::uint64_t page = 0; page < kMany; ++page)
    ASSERT_EQ(all.lookup({DomainId{1}}, Iova(page << 12))->output, page << 12);
  EXPECT_EQ(all.invalidate({.scope = Scope::kAll}).entries, kMany);
  EXPECT_EQ(all.size(), 0u);
}

TEST(ReferenceTlb, APeekIsNoUse) {
  Iotlb two({.entries = 2, .reference = true});
  const auto fill = [&](std::uint64_t page) {
    return two.fill(two.begin_fill(DomainId{1}), {.tag = {DomainId{1}}, .page = Iova(page)});
  };
  EXPECT_EQ(fill(0x1000), FillResult::kFilled);
  EXPECT_EQ(fill(0x2000), FillResult::kFilled);
  EXPECT_TRUE(two.peek({DomainId{1}}, Iova(0x1000)));
  EXPECT_EQ(fill(0x3000), FillResult::kEvicted);
  EXPECT_FALSE(two.peek({DomainId{1}}, Iova(0x1000)));
  EXPECT_TRUE(two.peek({DomainId{1}}, Iova(0x2000)));
}

}  // namespace
}  // namespace weir::iotlb
