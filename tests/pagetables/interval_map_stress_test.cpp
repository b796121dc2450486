// SPDX-License-Identifier: Apache-2.0
//
// Readers beside the writer. Every mapping the writer makes is sealed: its output follows from its
// range, its permissions and a generation, so a lookup that mixed two mappings, or read freed
// memory, gives a broken seal. Beside that: what never changes is always found; what was unmapped
// before a lookup began is not found by it, and what was mapped before it began is.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pagetables/interval_map.h"

namespace weir::pagetables {
namespace {

constexpr int kReaders = 3;

std::uint64_t mix(std::uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58'476d'1ce4'e5b9U;
  x = (x ^ x >> 27) * 0x94d0'49bb'1331'11ebU;
  return x ^ x >> 31;
}

// The low 12 bits of the output are 0 for a page-shaped mapping, so that the index may hold it; the
// flags are part of the seal.
Mapping sealed(std::uint64_t first, std::uint64_t last, std::uint64_t generation) {
  const std::uint64_t page = generation % (std::uint64_t{1} << 16);
  const std::uint64_t hash = mix(first ^ mix(last ^ mix(page))) >> 40;
  return {{Iova(first), Iova(last)},
          Gpa((hash << 16 | page) << 12),
          Permissions::of((hash & 1) != 0, (hash & 2) != 0),
          (hash & 4) != 0};
}

bool seal_holds(const Mapping& m) {
  return m == sealed(m.range.first.value(), m.range.last.value(), m.output.value() >> 12);
}

// Epochs: a reader shows the one it began in; garbage goes when no reader shows an older one.
class Epochs final : public NodeRetirer {
 public:
  void enter(int reader) {
    // Sequentially consistent, all: either the writer's scan sees the reader, or the reader sees
    // what was unlinked before the scan. Twice, because the first value may be old already.
    auto& mine = shown_[static_cast<std::size_t>(reader)].epoch;
    mine.store(now_.load());
    mine.store(now_.load());
  }
  void leave(int reader) {
    // Release, by way of the default: ends every read made inside.
    shown_[static_cast<std::size_t>(reader)].epoch.store(kOutside);
  }
  void retire(RetiredNodes nodes) override {
    kept_.emplace_back(now_.fetch_add(1), std::move(nodes));
    if (kept_.size() < 16) return;
    std::uint64_t oldest = kOutside;
    for (const Shown& s : shown_) oldest = std::min(oldest, s.epoch.load());
    while (!kept_.empty() && kept_.front().first < oldest) kept_.pop_front();
  }

 private:
  static constexpr std::uint64_t kOutside = ~std::uint64_t{0};
  struct alignas(64) Shown {
    std::atomic<std::uint64_t> epoch{kOutside};
  };
  std::atomic<std::uint64_t> now_{1};
  std::array<Shown, kReaders> shown_;
  std::deque<std::pair<std::uint64_t, RetiredNodes>> kept_;
};

struct World {
  const char* name;
  std::uint64_t slot_bytes;  // of a slot that the writer fills and empties
  std::uint64_t slots;
};

// What the writer tells the readers about a slot: even: unmapped since; odd: mapped since. Stored
// after the map call and before the unmap call (with `changing` around both).
struct alignas(64) Told {
  std::atomic<std::uint64_t> version{0};
};

// In each of the three ways; together with others that lie anywhere.
template <typename Anywhere>
std::optional<Mapping> ask(const IntervalMap& map, Iova at, Anywhere anywhere, std::uint64_t how) {
  if (how % 8 == 0) return map.first_at_or_after(at);
  if (how % 4 != 1) return map.lookup(at);
  std::array<Iova, 6> all;
  for (Iova& other : all) other = Iova(anywhere());
  std::array<std::optional<Mapping>, all.size()> found;
  const std::size_t mine = how / 8 % all.size();
  all[mine] = at;
  map.lookup(all, found);
  return found[mine];
}

class IntervalMapStress : public testing::TestWithParam<World> {};

TEST_P(IntervalMapStress, ALookupGivesOneMappingThatExisted) {
  const World world = GetParam();
  const int steps = std::getenv("WEIR_LONG") != nullptr ? 2'000'000 : 100'000;
  constexpr std::uint64_t kBase = std::uint64_t{1} << 32;
  Epochs epochs;
  IntervalMap map({.max_retired_bytes = ~std::size_t{0}}, epochs);
  // Every eighth slot is mapped once and for all.
  const auto first_of = [&](std::uint64_t slot) { return kBase + slot * world.slot_bytes; };
  for (std::uint64_t slot = 0; slot < world.slots; slot += 8)
    ASSERT_EQ(map.map(sealed(first_of(slot), first_of(slot + 1) - 1, 0)), MapStatus::kMapped);
  // version % 4: 0 unmapped, 1 being mapped, 2 mapped, 3 being unmapped.
  std::vector<Told> told(world.slots);

  std::atomic<bool> done{false};
  std::array<std::uint64_t, kReaders> hits{};
  std::array<std::string, kReaders> trouble;
  const auto read = [&](int reader) {
    std::mt19937_64 random(static_cast<unsigned>(reader) + 1);
    std::uint64_t found = 0;
    const auto complain = [&](const char* what, std::uint64_t slot) {
      trouble[static_cast<std::size_t>(reader)] = std::string(what) + " " + std::to_string(slot);
    };
    while (!done.load() && trouble[static_cast<std::size_t>(reader)].empty()) {
      const std::uint64_t slot = random() % world.slots;
      const Iova at(first_of(slot) + random() % world.slot_bytes);
      epochs.enter(reader);
      const std::uint64_t before = told[slot].version.load();
      const auto m = ask(
          map, at, [&] { return first_of(random() % world.slots); }, random());
      const std::uint64_t after = told[slot].version.load();
      epochs.leave(reader);
      if (m && !seal_holds(*m)) complain("broken seal at slot", slot);
      const bool here = m && m->range.contains(at);
      found += here ? 1 : 0;
      if (slot % 8 == 0 && !here) complain("lost what never changes, slot", slot);
      if (slot % 8 == 0 || before != after) continue;
      if (before % 4 == 0 && here) complain("found what was unmapped before, slot", slot);
      if (before % 4 == 2 && !here) complain("lost what was mapped before, slot", slot);
    }
    hits[static_cast<std::size_t>(reader)] = found;
  };
  std::vector<std::thread> readers;
  for (int r = 0; r < kReaders; ++r) readers.emplace_back(read, r);

  std::mt19937_64 random(99);
  // The slots of [first, last]: all seven between two that stay, or some of them. One mapping for
  // several slots reaches over what were several leaves' bounds.
  std::vector<std::uint64_t> run_of(world.slots, 0);  // at a run's first slot: its length
  const auto tell = [&](std::uint64_t slot, std::uint64_t n, unsigned state) {
    for (std::uint64_t i = 0; i < n; ++i) {
      auto& version = told[slot + i].version;
      version.store(version.load() + (state - version.load() % 4 + 4) % 4);
    }
  };
  for (int step = 0; step < steps; ++step) {
    // Phases, so that leaves fill, split, empty and merge.
    const bool grows = step / 4000 % 2 == 0;
    const std::uint64_t group = random() % (world.slots / 8) * 8 + 1;
    if (random() % 8 < (grows ? 7U : 1U)) {
      const std::uint64_t slot = group + random() % 7;
      const std::uint64_t most = group + 7 - slot;
      const std::uint64_t n = random() % 4 == 0 ? 1 + random() % most : 1;
      bool is_free = true;
      for (std::uint64_t i = 0; i < n; ++i) is_free &= told[slot + i].version.load() % 4 == 0;
      if (!is_free) continue;
      tell(slot, n, 1);
      const auto generation = static_cast<std::uint64_t>(step);
      ASSERT_EQ(map.map(sealed(first_of(slot), first_of(slot + n) - 1, generation)),
                MapStatus::kMapped);
      tell(slot, n, 2);
      run_of[slot] = n;
    } else {
      // Everything between two slots that stay, however it was mapped.
      std::size_t runs = 0;
      for (std::uint64_t i = group; i < group + 7; ++i) runs += run_of[i] != 0 ? 1U : 0U;
      for (std::uint64_t i = group; i < group + 7; ++i)
        if (run_of[i] != 0) tell(i, std::exchange(run_of[i], 0), 3);
      const Unmapped result = map.unmap({Iova(first_of(group)), Iova(first_of(group + 7) - 1)});
      ASSERT_EQ(result, (Unmapped{UnmapStatus::kUnmapped, runs}));
      for (std::uint64_t i = group; i < group + 7; ++i)
        if (told[i].version.load() % 4 == 3) tell(i, 1, 0);
    }
  }
  done.store(true);
  for (std::thread& r : readers) r.join();
  for (int r = 0; r < kReaders; ++r) {
    EXPECT_EQ(trouble[static_cast<std::size_t>(r)], "");
    EXPECT_GT(hits[static_cast<std::size_t>(r)], 100U);
  }
}

// One leaf, one level of leaves, and deeper; page-shaped (index and tree) and byte-odd (tree).
INSTANTIATE_TEST_SUITE_P(Worlds, IntervalMapStress,
                         testing::Values(World{"one_leaf", 4096, 16}, World{"pages", 4096, 4096},
                                         World{"blocks", 2 << 20, 1024},
                                         World{"byte_odd_few", 4097, 64},
                                         World{"byte_odd", 4097, 8192}),
                         [](const auto& world) { return world.param.name; });

}  // namespace
}  // namespace weir::pagetables
