// SPDX-License-Identifier: Apache-2.0
#include "bench/walk_cases.h"

#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <vector>

#include "bench/loops.h"
#include "bench/walk_world.h"
#include "bench/workload.h"
#include "iommu/cached_walk.h"
#include "iotlb/iotlb.h"
#include "pagetables/nested.h"

namespace weir::bench {
namespace {

using benchmark::State;
using pagetables::DirectReader;
using pagetables::VtdSecondStage;
using pagetables::X86FirstStage;
using enum WalkMemory;
using enum WalkPattern;
using enum WalkStages;

constexpr WalkCase kCases[] = {
    {kOne, kBare, kSequential, "one-stage walk, bare, sequential"},
    {kOne, kBare, kRing, names::kBareOneRing},
    {kOne, kBare, kRandom, "one-stage walk, bare, random"},
    {kOne, kCold, kSequential, "one-stage miss, cold, sequential"},
    {kOne, kCold, kRing, "one-stage miss, cold, ring"},
    {kOne, kCold, kRandom, "one-stage miss, cold, random"},
    {kOne, kWarm, kSequential, "one-stage miss, warm, sequential"},
    {kOne, kWarm, kRing, "one-stage miss, warm, ring"},
    {kOne, kWarm, kRandom, "one-stage miss, warm, random"},
    {kNested, kBare, kSequential, "nested walk, bare, sequential"},
    {kNested, kBare, kRing, names::kBareNestedRing},
    {kNested, kBare, kRandom, names::kBareNestedRandom},
    {kNested, kCold, kSequential, "nested miss, cold, sequential"},
    {kNested, kCold, kRing, names::kColdNestedRing},
    {kNested, kCold, kRandom, names::kColdNestedRandom},
    {kNested, kTables, kSequential, names::kTablesNestedSequential},
    {kNested, kTables, kRing, "nested miss, tables, ring"},
    {kNested, kTables, kRandom, "nested miss, tables, random"},
    {kNested, kWarm, kSequential, "nested miss, warm, sequential"},
    {kNested, kWarm, kRing, names::kWarmNestedRing},
    {kNested, kWarm, kRandom, "nested miss, warm, random"},
};

// One that no request finds an answer in, because none comes back within four others.
constexpr std::size_t kIotlbEntries = 4;
constexpr std::uint64_t kRingPages = 512;
constexpr std::size_t kTurn = 4096;  // requests
constexpr unsigned kBatchesOfAPair = 2 * kTurn / Workload::kBatch;
// Of turns, in each repetition: so many that each side walks all of its turns.
constexpr std::size_t kPairs = 128;

[[nodiscard]] iotlb::WalkCacheOptions caches_for(WalkMemory memory) {
  switch (memory) {
    case kBare:
    case kCold:
      return {.stage1_tables = 0, .stage2_tables = 0, .stage2_pages = 0};
    case kTables:
      return {.stage1_tables = 64, .stage2_tables = 64, .stage2_pages = 0};
    case kWarm:
      return {.stage1_tables = 64, .stage2_tables = 64, .stage2_pages = 1024};
  }
  return {};
}

// A miss as the core and a unit's walk make one (iommu/translate.cpp, vendors/vtd/translate.cpp),
// with the same calls in the same order: the lookup in vain, the tickets, the walk, the fill into a
// full set. What is not in it is what a hit needs too: port, context, landing.
class Misses {
 public:
  Misses(const WalkWorld& world, WalkMemory memory)
      : world_(world), iotlb_({.entries = kIotlbEntries}), caches_(caches_for(memory)) {}

  template <WalkStages kStages>
  [[nodiscard]] std::uint64_t translate(Iova iova) {
    if (const auto hit = iotlb_.lookup(key_, iova)) return hit->output;
    const iotlb::FillTicket ticket = iotlb_.begin_fill(key_);
    const iotlb::WalkCaches::Tickets tickets = caches_.begin_fill(kTag.domain);
    DirectReader reader(world_.memory());
    if constexpr (kStages == kOne) {
      CachedTables<X86FirstStage, Gpa> tables(caches_.stage1_tables, kTag, tickets.stage1_tables);
      const auto leaf =
          pagetables::walk<X86FirstStage>(WalkWorld::kStage1, reader, world_.one_stage_root(),
                                          WalkWorld::kLevels, iova.value(), Ask{}, tables);
      return leaf ? filled(ticket, iova, *leaf) : kNoAnswer;
    } else {
      CachedTables<X86FirstStage, Ipa> tables(caches_, kTag, tickets);
      pagetables::Leaf<Gpa> leaf;
      if (pagetables::nested_walk_at_once<X86FirstStage, Ipa>(
              WalkWorld::kStage1, stage2(reader, tickets), reader, iova.value(), Ask{}, tables,
              leaf)) [[likely]]
        return filled(ticket, iova, leaf);
      const auto found = from_the_top(iova, tickets);
      return found ? filled(ticket, iova, *found) : kNoAnswer;
    }
  }
  [[nodiscard]] std::uint64_t walks() const { return walks_; }
  [[nodiscard]] std::uint64_t references() const { return references_; }

 private:
  static constexpr iotlb::Tag kTag{.domain = {1}};
  static constexpr std::uint64_t kNoAnswer = ~std::uint64_t{0};

  [[nodiscard]] CachedStage2<VtdSecondStage, DirectReader> stage2(
      DirectReader& reader, const iotlb::WalkCaches::Tickets& tickets) {
    return {WalkWorld::kStage2, reader, world_.stage2_root(), WalkWorld::kLevels, caches_,
            kTag.domain,        tickets};
  }
  [[nodiscard, gnu::noinline]] pagetables::WalkResult<Gpa> from_the_top(
      Iova iova, iotlb::WalkCaches::Tickets tickets) {
    DirectReader reader(world_.memory());
    auto lower = stage2(reader, tickets);
    pagetables::WalkResult<Gpa> whole(std::in_place);
    if (caches_.off() && pagetables::nested_walk_plain<X86FirstStage>(
                             WalkWorld::kStage1, world_.stage1_root(), WalkWorld::kLevels, lower,
                             iova.value(), Ask{}, *whole))
      return whole;
    const auto leaf = pagetables::nested_walk<X86FirstStage>(
        WalkWorld::kStage1, world_.stage1_root(), WalkWorld::kLevels, lower, reader, iova.value(),
        Ask{}, CachedTables<X86FirstStage, Ipa>(caches_, kTag, tickets));
    if (!leaf) return Failure{leaf.error()};
    return leaf->whole(iova.value());
  }
  [[nodiscard, gnu::always_inline]] std::uint64_t filled(iotlb::FillTicket ticket, Iova iova,
                                                         const pagetables::Leaf<Gpa>& leaf) {
    ++walks_;
    references_ += leaf.references;
    (void)iotlb_.fill(key_, ticket,
                      {.page = iova.page_base(leaf.page_lg2),
                       .output = leaf.page.value(),
                       .page_lg2 = leaf.page_lg2,
                       .permissions = leaf.cacheable()});
    return leaf.translate(iova.value()).value();
  }

  const WalkWorld& world_;
  iotlb::Iotlb iotlb_;
  iotlb::IotlbKey key_ = iotlb_.key_for(kTag);
  iotlb::WalkCaches caches_;
  std::uint64_t walks_ = 0;
  std::uint64_t references_ = 0;
};

// The pages of a pattern one after another, without a list that would take cache lines away from
// the tables.
template <WalkPattern kPattern>
class Pages {
 public:
  [[nodiscard]] std::uint64_t next() {
    if constexpr (kPattern == kRandom) {
      state_ = state_ * 6364136223846793005U + 1442695040888963407U;
      return state_ >> 44;
    } else {
      return state_++ & ((kPattern == kRing ? kRingPages : WalkWorld::kPages) - 1);
    }
  }

 private:
  std::uint64_t state_ = 0;
};
static_assert(WalkWorld::kPages == std::uint64_t{1} << (64 - 44));

template <WalkPattern kPattern, typename Translate>
void run_pattern(State& state, Translate translate) {
  constexpr std::uint64_t kOffset = 0x40;
  const std::uint64_t zero = unknown_zero();
  Pages<kPattern> pages;
  std::uint64_t last = 0;
  const auto batch = [&] {
    std::uint64_t wrong = 0;
    for (std::size_t i = 0; i < Workload::kBatch; ++i) {
      const std::uint64_t page = pages.next();
      last = translate(WalkWorld::kFirst + (page << kPageLg2) + (kOffset | (last & zero)));
      wrong |= last ^ (WalkWorld::expected(page).value() | kOffset);
    }
    return wrong;
  };
  (void)batch();
  for (auto _ : state) {
    if (batch() != 0) [[unlikely]] {
      state.SkipWithError("a wrong translation");
      break;
    }
  }
}

// ---- Both sides of a ratio by turns

[[nodiscard]] double processor_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// One side: the same turns as the other, half of them apart. By the time that it comes to what the
// other one has walked, that has left the nearest caches again; in a turn right after the other's
// it would find its tables there.
template <typename Translate>
class Side {
 public:
  static constexpr std::size_t kTurns = kPairs;

  Side(Translate translate, std::size_t first) : translate_(translate), next_(first) {
    Pages<kRandom> pages;
    for (Pages<kRandom>& start : starts_) {
      start = pages;
      for (std::size_t i = 0; i < kTurn; ++i) (void)pages.next();
    }
  }
  // Nanoseconds of a request; negative: one was answered wrongly.
  [[gnu::noinline]] double turn() {
    constexpr std::uint64_t kOffset = 0x40;
    const std::uint64_t zero = unknown_zero();
    Pages<kRandom> pages = starts_[next_++ % kTurns];
    std::uint64_t wrong = 0;
    std::uint64_t last = 0;
    const double before = processor_ns();
    for (std::size_t i = 0; i < kTurn; ++i) {
      const std::uint64_t page = pages.next();
      last = translate_(WalkWorld::kFirst + (page << kPageLg2) + (kOffset | (last & zero)));
      wrong |= last ^ (WalkWorld::expected(page).value() | kOffset);
    }
    const double after = processor_ns();
    return wrong == 0 ? (after - before) / kTurn : -1;
  }

 private:
  Translate translate_;
  std::array<Pages<kRandom>, kTurns> starts_;
  std::size_t next_;
};

// The cold nested miss and the bare nested walk, one turn of each and then the other way round, so
// that whatever the machine does meets both: the median of the ratios of neighbours.
void run_by_turns(State& state, const WalkWorld& world, Amount& amount) {
  Misses misses(world, kCold);
  const auto miss = [&misses](Iova iova) { return misses.translate<kNested>(iova); };
  const auto bare = [&world](Iova iova) { return world.bare_nested(iova.value()); };
  Side<decltype(miss)> one(miss, 0);
  Side<decltype(bare)> other(bare, Side<decltype(bare)>::kTurns / 2);
  std::vector<double> ratios;
  bool other_first = false;
  for (auto _ : state) {
    double ns[2] = {0, 0};
    if (other_first) ns[1] = other.turn();
    ns[0] = one.turn();
    if (!other_first) ns[1] = other.turn();
    other_first = !other_first;
    if (ns[0] < 0 || ns[1] < 0) [[unlikely]] {
      state.SkipWithError("a wrong translation");
      break;
    }
    ratios.push_back(ns[0] / ns[1]);
  }
  if (ratios.empty()) return;
  const auto middle = ratios.begin() + static_cast<std::ptrdiff_t>(ratios.size() / 2);
  std::nth_element(ratios.begin(), middle, ratios.end());
  amount.add(*middle);
}

template <typename Translate>
void run_any(State& state, WalkPattern pattern, Translate translate) {
  switch (pattern) {
    case kSequential:
      return run_pattern<kSequential>(state, translate);
    case kRing:
      return run_pattern<kRing>(state, translate);
    case kRandom:
      return run_pattern<kRandom>(state, translate);
  }
}

void run_walks(State& state, const WalkWorld& world, const WalkCase& what, WalkBooks& books) {
  if (what.memory == kBare) {
    if (what.stages == kOne)
      run_any(state, what.pattern, [&](Iova iova) { return world.bare_one_stage(iova.value()); });
    else
      run_any(state, what.pattern, [&](Iova iova) { return world.bare_nested(iova.value()); });
    return;
  }
  Misses misses(world, what.memory);
  if (what.stages == kOne)
    run_any(state, what.pattern, [&](Iova iova) { return misses.translate<kOne>(iova); });
  else
    run_any(state, what.pattern, [&](Iova iova) { return misses.translate<kNested>(iova); });
  // Relaxed: sums that are read when nothing runs.
  books.walks.fetch_add(misses.walks(), std::memory_order_relaxed);
  books.references.fetch_add(misses.references(), std::memory_order_relaxed);
}

}  // namespace

std::span<const WalkCase> all_walk_cases() { return kCases; }

void add_walk_cases(std::vector<Case>& cases, const std::function<bool(std::string_view)>& wanted) {
  std::shared_ptr<const WalkWorld> world;
  for (const WalkCase& what : kCases) {
    if (!wanted(what.name)) continue;
    if (world == nullptr) world = std::make_shared<WalkWorld>();
    auto walks = what.memory == kBare ? nullptr : std::make_shared<WalkBooks>();
    cases.push_back({.name = what.name,
                     .run =
                         [world, what, walks](State& state) {
                           WalkBooks nobody;
                           run_walks(state, *world, what, walks ? *walks : nobody);
                         },
                     .walks = walks});
  }
  if (!wanted(names::kNestedByTurns)) return;
  if (world == nullptr) world = std::make_shared<WalkWorld>();
  const auto ratio = std::make_shared<Amount>("bare walks");
  cases.push_back({.name = names::kNestedByTurns,
                   .run = [world, ratio](State& state) { run_by_turns(state, *world, *ratio); },
                   .amount = ratio,
                   .iterations = kPairs,
                   .batches = kBatchesOfAPair});
}

}  // namespace weir::bench
