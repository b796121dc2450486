// SPDX-License-Identifier: Apache-2.0
//
// Private pages, held against a set of page numbers; and what the host map makes of them.
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "pagetables/physical_memory.h"
#include "pagetables/private_pages.h"

namespace weir::pagetables {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

AddressRange<Gpa> pages(std::uint64_t first, std::uint64_t count) {
  return {Gpa(first * kPageSize), Gpa((first + count) * kPageSize - 1)};
}

TEST(PrivatePages, RoundTowardsPrivate) {
  PrivatePages map;
  EXPECT_FALSE(map.is_private(Gpa(0)));
  map.set_private({Gpa(0x1fff), Gpa(0x3000)});
  for (const std::uint64_t page : {1, 2, 3}) EXPECT_TRUE(map.is_private(Gpa(page * kPageSize)));
  EXPECT_FALSE(map.is_private(Gpa(0xfff)));
  EXPECT_FALSE(map.is_private(Gpa(0x4000)));
  map.set_shared({Gpa(0x1001), Gpa(0x3ffe)});
  EXPECT_TRUE(map.is_private(Gpa(0x1000))) << "a part of it was not shared";
  EXPECT_FALSE(map.is_private(Gpa(0x2000)));
  EXPECT_TRUE(map.is_private(Gpa(0x3000)));
  map.set_shared({Gpa(0x3001), Gpa(0x3ffe)});
  EXPECT_TRUE(map.is_private(Gpa(0x3000)));
}

TEST(PrivatePages, TheEndsOfTheSpace) {
  PrivatePages map;
  map.set_private(whole_space<Gpa>());
  EXPECT_TRUE(map.is_private(Gpa(0)));
  EXPECT_TRUE(map.is_private(Gpa((std::uint64_t{1} << 52) - 1)));
  EXPECT_FALSE(map.is_private(Gpa(std::uint64_t{1} << 52))) << "no memory is there";
  EXPECT_FALSE(map.is_private(Gpa(~0ull)));
  EXPECT_EQ(map.run(Gpa(std::uint64_t{1} << 52), ~0ull).bytes, ~0ull);
  map.set_shared({Gpa(~0ull - 5), Gpa(~0ull)});
  map.set_shared(whole_space<Gpa>());
  EXPECT_FALSE(map.is_private(Gpa(0)));
  EXPECT_FALSE(map.is_private(Gpa((std::uint64_t{1} << 52) - 1)));
}

TEST(PrivatePages, ARunEndsWhereThePagesDiffer) {
  PrivatePages map;
  map.set_private(pages(100, 1));
  const auto run = map.run(Gpa(0x10), ~0ull);
  EXPECT_FALSE(run.is_private);
  EXPECT_EQ(run.bytes, 100 * kPageSize - 0x10);
  EXPECT_EQ(map.run(Gpa(0x10), 8).bytes, 8u);
  EXPECT_EQ(map.run(Gpa(100 * kPageSize + 5), ~0ull).bytes, kPageSize - 5);
  EXPECT_TRUE(map.run(Gpa(100 * kPageSize), 0).is_private) << "also of nothing";
  EXPECT_GE(map.run(Gpa(4 * kGiB), ~0ull).bytes, kGiB) << "all alike, and said in one go";
  // However long the stretch, what is looked at in one go is bounded; and never less than asked.
  map.set_private(pages(0x80000, 0x40000));
  map.set_shared(pages(0x80000, 1));
  EXPECT_GE(map.run(Gpa(0x80001000), ~0ull).bytes, (std::uint64_t{16} << 20) - kPageSize);
}

// Ranges of all sizes around the borders of words, blocks and regions.
TEST(PrivatePages, AgainstASetOfPages) {
  constexpr std::uint64_t kBases[] = {0, (kGiB >> 12) - 70, (std::uint64_t{1} << 29) - 70};
  constexpr std::uint64_t kSpan = 200;
  std::mt19937_64 random(7);
  PrivatePages map;
  std::set<std::uint64_t> naive;
  for (int step = 0; step < 4000; ++step) {
    const std::uint64_t base = kBases[random() % 3];
    const std::uint64_t first = base + random() % kSpan;
    const std::uint64_t count = 1 + random() % (step % 5 == 0 ? kSpan : 5);
    const bool is_private = random() % 2 == 0;
    if (is_private)
      map.set_private(pages(first, count));
    else
      map.set_shared(pages(first, count));
    for (std::uint64_t page = first; page < first + count; ++page) {
      if (is_private)
        naive.insert(page);
      else
        naive.erase(page);
    }
    if (step % 100 != 0) continue;
    for (const std::uint64_t from : kBases)
      for (std::uint64_t page = from; page < from + 2 * kSpan; ++page)
        ASSERT_EQ(map.is_private(Gpa(page * kPageSize)), naive.contains(page)) << step << " " << page;
    const std::uint64_t at = base + random() % kSpan;
    std::uint64_t alike = 1;
    while (alike < 64 && naive.contains(at + alike) == naive.contains(at)) ++alike;
    const auto run = map.run(Gpa(at * kPageSize), 64 * kPageSize);
    ASSERT_EQ(run.is_private, naive.contains(at));
    ASSERT_EQ(run.bytes, alike * kPageSize);
  }
}

// A GiB that was said to be private as a whole, and then page by page: nothing else changes.
TEST(PrivatePages, APlaceThatIsDividedKeepsWhatItWas) {
  PrivatePages map;
  map.set_private({Gpa(0), Gpa(4 * kGiB - 1)});
  map.set_shared(pages((2 * kGiB >> 12) + 5, 1));
  EXPECT_FALSE(map.is_private(Gpa(2 * kGiB + 5 * kPageSize)));
  EXPECT_TRUE(map.is_private(Gpa(2 * kGiB + 4 * kPageSize)));
  EXPECT_TRUE(map.is_private(Gpa(2 * kGiB + 6 * kPageSize)));
  EXPECT_TRUE(map.is_private(Gpa(3 * kGiB)));
  EXPECT_FALSE(map.is_private(Gpa(4 * kGiB)));
  map.set_shared({Gpa(0), Gpa(4 * kGiB - 1)});
  EXPECT_FALSE(map.is_private(Gpa(2 * kGiB + 4 * kPageSize)));
}

// ---- Memory with private pages: every kind of access, with slots and with a map that is asked.

class GuardedMemory : public testing::TestWithParam<bool> {
 protected:
  // A list of slots, or the same behind an interface that nobody can look through.
  class Asked final : public HostMap {
   public:
    explicit Asked(MemorySlots slots) : slots_(std::move(slots)) {}
    [[nodiscard]] Result<HostMapping, WalkFailure> lookup(Gpa at) const override {
      return slots_.lookup(at);
    }

   private:
    MemorySlots slots_;
  };

  GuardedMemory() : ram_(8 * 512) {
    auto memory = std::make_shared<const GuestMemory>(
        GuestMemory::single(Hpa(0), std::as_writable_bytes(std::span(ram_))));
    std::shared_ptr<const HostMap> map;
    auto slots = MemorySlots::identity(*memory);
    if (GetParam())
      map = std::make_shared<MemorySlots>(std::move(slots));
    else
      map = std::make_shared<Asked>(std::move(slots));
    const PhysicalMemory plain(memory, map);
    physical = std::make_unique<PhysicalMemory>(plain, hidden);
  }

 public:
  std::vector<std::uint64_t> ram_;
  std::shared_ptr<PrivatePages> hidden = std::make_shared<PrivatePages>();
  std::unique_ptr<PhysicalMemory> physical;
};
INSTANTIATE_TEST_SUITE_P(HostMaps, GuardedMemory, testing::Bool());

TEST_P(GuardedMemory, NoKindOfAccessReachesAPrivatePage) {
  const Gpa page(2 * kPageSize);
  const auto refused = [&](bool yes) {
    std::uint64_t word = 0;
    std::array<std::byte, 16> bytes{};
    EXPECT_EQ(!physical->load64(page), yes);
    EXPECT_EQ(!physical->store64(page + 8, 1), yes);
    EXPECT_EQ(!physical->compare_exchange64(page, word, 0), yes);
    EXPECT_EQ(!physical->read(page + 0x10, bytes), yes);
    EXPECT_EQ(!physical->write(page + 0x10, bytes), yes);
    EXPECT_EQ(!physical->resolve(page), yes);
    if (yes) {
      EXPECT_EQ(physical->resolve(page).error(), FaultReason::kPrivatePage);
    }
    EXPECT_EQ(physical->find_piece(page), nullptr) << "nothing is found without asking";
    EXPECT_FALSE(physical->load64_from_slot(page, word));
  };
  refused(false);
  hidden->set_private({page, page});
  refused(true);
  hidden->set_shared(whole_space<Gpa>());
  refused(false);
}

TEST_P(GuardedMemory, AnAccessStopsAtAPrivatePage) {
  hidden->set_private(pages(3, 1));
  EXPECT_EQ(physical->resolve(Gpa(2 * kPageSize + 16))->contiguous, kPageSize - 16);
  EXPECT_EQ(physical->resolve(Gpa(4 * kPageSize))->contiguous, 4 * kPageSize);
  std::vector<std::byte> bytes(2 * kPageSize, std::byte{0x77});
  EXPECT_EQ(physical->write(Gpa(2 * kPageSize), bytes).error(), FaultReason::kPrivatePage);
  EXPECT_EQ(ram_[3 * 512 - 1], 0x7777777777777777u) << "what comes before has landed";
  EXPECT_EQ(ram_[3 * 512], 0u);
  EXPECT_EQ(physical->resolve(Gpa(8 * kPageSize)).error(), FaultReason::kHostMapAbsent);
}

}  // namespace
}  // namespace weir::pagetables
