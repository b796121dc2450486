// SPDX-License-Identifier: Apache-2.0
//
// The interval map against a list that is searched from end to end, over long random sequences of
// requests of several kinds; and at a million mappings against arithmetic.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iterator>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <vector>

#include "pagetables/interval_map.h"
#include "tests/model/naive_interval_map.h"

namespace weir::pagetables {
namespace {

using Random = std::mt19937_64;
constexpr std::uint64_t kLast = ~std::uint64_t{0};

// How a kind of guest picks ranges.
struct Guest {
  const char* name;
  AddressRange<Iova> (*range)(Random&);
  std::size_t most_mappings;
};

AddressRange<Iova> closed(std::uint64_t first, std::uint64_t last) {
  return {Iova(first), Iova(last)};
}

// A virtio map speaks of reading and writing only.
Permissions permissions_of(std::uint64_t bits) {
  return Permissions::of((bits & 1) != 0, (bits & 2) != 0);
}

AddressRange<Iova> small_world(Random& r) {  // many collisions: every rule is met often
  const std::uint64_t first = r() % 300;
  return closed(first, first + r() % 12 - (r() % 16 == 0 ? 1 : 0));
}
AddressRange<Iova> adjacent_pages(Random& r) {
  const std::uint64_t page = (std::uint64_t{1} << 20) + r() % 900;
  const std::uint64_t pages = r() % 4 == 0 ? 1 + r() % 40 : 1;
  return closed(page << 12, ((page + pages) << 12) - 1);
}
AddressRange<Iova> mixed_blocks(
    Random& r) {  // 4 KiB, 2 MiB and 1 GiB blocks, one in another's place
  const unsigned lg2 = r() % 8 == 0 ? 30 : r() % 3 == 0 ? 21 : 12;
  const std::uint64_t in_2m = lg2 == 12 ? r() % 4 + (r() % 3 << 9) + (r() % 2 << 18) : 0;
  const std::uint64_t first = lg2 == 12   ? in_2m << 12
                              : lg2 == 21 ? (r() % 3 + (r() % 2 << 9)) << 21
                                          : r() % 4 << 30;
  return closed(first, first + ((1 + r() % 2) << lg2) - 1);
}
AddressRange<Iova> byte_odd(Random& r) {
  const std::uint64_t first = r() % 1'000'000;
  return closed(first, first + r() % 700);
}
AddressRange<Iova> any_bits(Random& r) {  // every magnitude of address and size
  const std::uint64_t first = r() >> r() % 64;
  const std::uint64_t size = r() >> r() % 64;
  return closed(first, r() % 16 == 0 ? first - 1
                                     : first + std::min(size, r() % 8 == 0 ? size : kLast - first));
}
AddressRange<Iova> top_of_space(Random& r) {
  const std::uint64_t first = kLast - r() % 400;
  return closed(first, first + std::min(kLast - first + r() % 2, r() % 9));
}

constexpr Guest kGuests[] = {{"small_world", small_world, 1000},
                             {"limited", small_world, 20},
                             {"adjacent_pages", adjacent_pages, 2000},
                             {"mixed_blocks", mixed_blocks, 2000},
                             {"byte_odd", byte_odd, 2000},
                             {"any_bits", any_bits, 2000},
                             {"top_of_space", top_of_space, 2000}};

class IntervalMapDifferential : public testing::TestWithParam<Guest> {};

TEST_P(IntervalMapDifferential, AgreesWithTheList) {
  const Guest& guest = GetParam();
  const int steps = std::getenv("WEIR_LONG") != nullptr ? 2'000'000 : 60'000;
  Random random(2024);
  FreeAtOnce retirer;
  IntervalMap map({.max_mappings = guest.most_mappings, .index_bytes_at_start = 256 << 10},
                  retirer);
  model::NaiveIntervalMap list(guest.most_mappings);
  int mapped = 0;
  int removed = 0;
  for (int step = 0; step < steps; ++step) {
    // Phases of growth and of decay, so that nodes split and merge at every size.
    const bool grows = step / 3000 % 2 == 0;
    const bool maps = random() % 10 < (grows ? 7U : 3U);
    AddressRange<Iova> range = guest.range(random);
    if (maps) {
      const std::uint64_t output = random() % 4 == 0 ? random() : random() >> 20 << 12;
      const Mapping wanted{range, Gpa(output), permissions_of(random()), random() % 5 == 0};
      const MapStatus expected = list.map(wanted);
      ASSERT_EQ(map.map(wanted), expected) << step;
      mapped += expected == MapStatus::kMapped ? 1 : 0;
    } else {
      if (list.size() != 0 && random() % 2 == 0) {  // exactly what is there
        const auto& known = list.mappings();
        range = known[random() % known.size()].range;
        if (random() % 8 == 0)
          range.last = std::max(range.last, known[random() % known.size()].range.last);
      }
      if (random() % 4000 == 0) range = whole_space<Iova>();
      const Unmapped expected = list.unmap(range);
      ASSERT_EQ(map.unmap(range), expected) << step;
      removed += static_cast<int>(expected.removed);
    }
    ASSERT_EQ(map.size(), list.size()) << step;
    const std::array asked = {range.first, range.last, range.first - 1, range.last + 1,
                              guest.range(random).first};
    std::array<std::optional<Mapping>, asked.size()> found;
    map.lookup(asked, found);
    for (std::size_t i = 0; i < asked.size(); ++i) {
      ASSERT_EQ(found[i], list.lookup(asked[i])) << step << " at " << asked[i].value();
      ASSERT_EQ(map.lookup(asked[i]), found[i]) << step << " at " << asked[i].value();
      ASSERT_EQ(map.first_at_or_after(asked[i]), list.first_at_or_after(asked[i])) << step;
    }
  }
  EXPECT_GT(mapped, steps / 40);
  EXPECT_GT(removed, steps / 40);
  EXPECT_EQ(map.unmap(whole_space<Iova>()).removed, list.size());
  EXPECT_EQ(map.node_bytes(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Guests, IntervalMapDifferential, testing::ValuesIn(kGuests),
                         [](const auto& guest) { return guest.param.name; });

// --- many nodes on several levels

// Mappings of all sizes come into the gaps and go in runs of all lengths, tens of thousands at a
// time: what the list is too slow for.
TEST(IntervalMapAtScale, AgreesWithAnOrderedMap) {
  constexpr std::uint64_t kSpace = std::uint64_t{1} << 20;
  const int steps = std::getenv("WEIR_LONG") != nullptr ? 20'000'000 : 400'000;
  Random random(77);
  const auto any_size = [&](unsigned lg2) { return random() >> (63 - random() % lg2); };
  FreeAtOnce retirer;
  IntervalMap map({}, retirer);
  std::map<std::uint64_t, Mapping> oracle;  // by last byte
  const auto expected_at = [&](std::uint64_t at) -> std::optional<Mapping> {
    const auto next = oracle.lower_bound(at);
    if (next == oracle.end() || next->second.range.first.value() > at) return std::nullopt;
    return next->second;
  };
  std::size_t most = 0;
  for (int step = 0; step < steps; ++step) {
    // Mostly growth by small mappings, then a spell of removals and one of large mappings.
    const int spell = step / 20'000 % 8;
    const std::uint64_t at = random() % kSpace;
    const auto next = oracle.lower_bound(at);
    const bool is_free = next == oracle.end() || next->second.range.first.value() > at;
    if (is_free && spell != 6) {
      const std::uint64_t end = next == oracle.end() ? kSpace : next->second.range.first.value();
      const std::uint64_t size = 1 + any_size(spell == 7 ? 16 : 4);
      const Mapping m{closed(at, std::min(at + size, end) - 1), Gpa(random() >> 8),
                      permissions_of(random()), false};
      ASSERT_EQ(map.map(m), MapStatus::kMapped) << step;
      oracle.emplace(m.range.last.value(), m);
    } else if (!is_free && (spell >= 5 || random() % 16 == 0)) {
      const std::uint64_t first = next->second.range.first.value();
      auto end = next;
      const std::uint64_t run = 1 + any_size(spell == 6 ? 9 : 5);
      for (std::uint64_t i = 0; i < run && end != oracle.end(); ++i) ++end;
      const std::uint64_t last = std::prev(end)->first;
      const auto count = static_cast<std::size_t>(std::distance(next, end));
      oracle.erase(next, end);
      ASSERT_EQ(map.unmap(closed(first, last)), (Unmapped{UnmapStatus::kUnmapped, count})) << step;
    }
    most = std::max(most, map.size());
    ASSERT_EQ(map.size(), oracle.size());
    for (const std::uint64_t probe : {at, random() % kSpace, random() % kSpace})
      ASSERT_EQ(map.lookup(Iova(probe)), expected_at(probe)) << step << " at " << probe;
    if (step % 50'000 != 49'999) continue;
    // More than go together, and a rest.
    std::array<Iova, 80> asked;
    std::array<std::optional<Mapping>, asked.size()> found;
    for (std::uint64_t probe = 0; probe < kSpace; probe += asked.size()) {
      for (std::size_t i = 0; i < asked.size(); ++i) asked[i] = Iova(probe + i);
      map.lookup(asked, found);
      for (std::size_t i = 0; i < asked.size(); ++i) {
        ASSERT_EQ(found[i], expected_at(probe + i)) << step << " at " << probe + i;
        ASSERT_EQ(map.lookup(asked[i]), found[i]) << step << " at " << probe + i;
      }
    }
  }
  EXPECT_GT(most, 20'000U);
}

// --- a million

constexpr std::uint64_t kMillion = std::uint64_t{1} << 20;

struct Layout {
  std::uint64_t step;
  std::uint64_t size;
};
class IntervalMapMillion : public testing::TestWithParam<Layout> {};

TEST_P(IntervalMapMillion, EveryByteThatIsAskedForIsRight) {
  const auto [step, size] = GetParam();
  FreeAtOnce retirer;
  IntervalMap map({}, retirer);
  const auto mapping = [&](std::uint64_t i) {
    return Mapping{closed(i * step, i * step + size - 1), Gpa((i ^ 0x55) << 12), permissions_of(i),
                   i % 7 == 0};
  };
  std::vector<std::uint32_t> order(kMillion);
  std::iota(order.begin(), order.end(), 0U);
  std::shuffle(order.begin(), order.end(), Random(5));
  for (const std::uint64_t i : order) ASSERT_EQ(map.map(mapping(i)), MapStatus::kMapped);
  EXPECT_EQ(map.map(mapping(kMillion)), MapStatus::kNoMemory);
  EXPECT_LE(map.node_bytes() / kMillion, 64U);

  const auto check = [&](auto is_mapped) {
    for (std::uint64_t i = 0; i < kMillion; ++i) {
      for (const std::uint64_t at : {i * step, i * step + size - 1, i * step + size}) {
        const std::uint64_t owner = at / step;
        const bool inside = owner < kMillion && at % step < size && is_mapped(owner);
        const auto found = map.lookup(Iova(at));
        ASSERT_EQ(found.has_value(), inside) << at;
        if (found) {
          ASSERT_EQ(*found, mapping(owner));
        }
      }
    }
  };
  check([](std::uint64_t) { return true; });
  for (const std::uint64_t i : order) {
    if (i % 3 == 0) continue;
    ASSERT_EQ(map.unmap(mapping(i).range).removed, 1U);
  }
  check([](std::uint64_t i) { return i % 3 == 0; });
  EXPECT_EQ(map.unmap(closed(step * 1000, step * 901'000 - 1)).removed, 300'000U);
  check([](std::uint64_t i) { return i % 3 == 0 && (i < 1000 || i >= 901'000); });
  EXPECT_EQ(map.unmap(whole_space<Iova>()).removed, (kMillion + 2) / 3 - 300'000);
  EXPECT_EQ(map.node_bytes() + map.index_bytes(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Layouts, IntervalMapMillion,
                         testing::Values(Layout{4096, 4096}, Layout{65536, 4096},
                                         Layout{4099, 4097}));

}  // namespace
}  // namespace weir::pagetables
