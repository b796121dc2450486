// SPDX-License-Identifier: Apache-2.0
//
// Guest-physical memory: slots that split regions, regions that split slots, holes, and the same
// through a host map that is not a list of slots.
#include "pagetables/physical_memory.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>
#include <vector>

namespace weir::pagetables {
namespace {

class Dirty final : public DirtySink {
 public:
  void on_dirty(Gpa first, std::uint64_t size) override { seen.emplace_back(first, size); }
  std::vector<std::pair<Gpa, std::uint64_t>> seen;
};

// A host map that is no list of slots: forwards to one, page by page, and counts references. Its
// window is never larger than the page.
class PagedMap final : public HostMap {
 public:
  explicit PagedMap(MemorySlots slots) : slots_(std::move(slots)) {}
  [[nodiscard]] Result<HostMapping, WalkFailure> lookup(Gpa at) const override {
    auto mapping = slots_.lookup(at);
    if (!mapping) return Failure{mapping.error()};
    const Gpa page = at.page_base(4);  // pages of 16 bytes, to have many borders
    mapping->window.first = std::max(mapping->window.first, page);
    mapping->window.last = std::min(mapping->window.last, page + 15);
    mapping->references = 3;
    return *mapping;
  }

 private:
  const MemorySlots slots_;
};

// Two regions next to each other and one apart; slots in another order and across their border:
//   GPA 0x100…0x11f -> HPA 0x1010…0x102f   (half of region A, half of B)
//   GPA 0x120…0x12f -> HPA 0x1000          (before the first slot in memory)
//   GPA 0x200…0x23f -> HPA 0x5000…0x503f   (only the first 0x20 bytes exist)
//   GPA 0x300…0x30f -> HPA 0x1008          (read-only by the slot, other bytes of A)
//   GPA 0x400…0x40f -> HPA 0x1004          (misplaced by four bytes)
class PhysicalMemoryTest : public testing::TestWithParam<bool> {
 protected:
  PhysicalMemoryTest() {
    for (std::size_t i = 0; i < 32; ++i) {
      a[i] = std::byte(0xa0 + i);
      c[i] = std::byte(0xc0 + i);
    }
    std::memset(b.data(), 0xbb, b.size());
    auto memory = GuestMemory::create({{.first = Hpa(0x1000), .size = 0x20, .host = a.data()},
                                       {.first = Hpa(0x1020), .size = 0x20, .host = b.data()},
                                       {.first = Hpa(0x5000), .size = 0x20, .host = c.data()}});
    EXPECT_TRUE(memory.ok());
    auto slots = MemorySlots::create({{Gpa(0x200), 0x40, Hpa(0x5000)},
                                      {Gpa(0x100), 0x20, Hpa(0x1010)},
                                      {Gpa(0x120), 0x10, Hpa(0x1000)},
                                      {Gpa(0x300), 0x10, Hpa(0x1008), Permissions::read_only()},
                                      {Gpa(0x400), 0x10, Hpa(0x1004)}});
    EXPECT_TRUE(slots.ok());
    std::shared_ptr<const HostMap> map;
    if (paged())
      map = std::make_shared<PagedMap>(std::move(slots).value());
    else
      map = std::make_shared<MemorySlots>(std::move(slots).value());
    physical.emplace(std::make_shared<GuestMemory>(std::move(memory).value()), map, &dirty);
  }
  [[nodiscard]] bool paged() const { return GetParam(); }

  alignas(8) std::array<std::byte, 32> a{};
  alignas(8) std::array<std::byte, 32> b{};
  alignas(8) std::array<std::byte, 32> c{};
  Dirty dirty;
  std::optional<PhysicalMemory> physical;
};

INSTANTIATE_TEST_SUITE_P(Both, PhysicalMemoryTest, testing::Bool(),
                         [](const auto& either) { return either.param ? "Paged" : "Slots"; });

TEST_P(PhysicalMemoryTest, LandsInTheRightRegion) {
  const auto first = physical->resolve(Gpa(0x104));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->hpa, Hpa(0x1014));
  EXPECT_EQ(first->host(), a.data() + 0x14);
  EXPECT_EQ(first->contiguous, 12u) << "up to the end of region A";
  EXPECT_EQ(first->references, paged() ? 3u : 0u);
  const auto second = physical->resolve(Gpa(0x111));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->host(), b.data() + 1);
  EXPECT_EQ(second->contiguous, 15u) << "up to the end of the slot, not of region B";
  EXPECT_EQ(physical->resolve(Gpa(0x12f))->host(), a.data() + 0xf);
  EXPECT_EQ(physical->resolve(Gpa(0x12f))->contiguous, 1u);
  const auto apart = physical->resolve(Gpa(0x200));
  ASSERT_TRUE(apart);
  EXPECT_EQ(apart->contiguous, paged() ? 16u : 0x20u) << "up to the end of the memory there is";
}

TEST_P(PhysicalMemoryTest, HolesAreAbsent) {
  for (const std::uint64_t hole :
       {0x0ull, 0xffull, 0x130ull, 0x220ull, 0x23full, 0x240ull, 0x310ull, 0x410ull, ~0ull}) {
    const auto missing = physical->resolve(Gpa(hole));
    ASSERT_FALSE(missing) << std::hex << hole;
    EXPECT_EQ(missing.error(), FaultReason::kHostMapAbsent);
  }
}

TEST_P(PhysicalMemoryTest, ReadsAndWritesCrossSlotsAndRegions) {
  std::array<std::byte, 0x30> got{};
  ASSERT_TRUE(physical->read(Gpa(0x100), got));
  EXPECT_EQ(got[0x0f], std::byte(0xbf));
  EXPECT_EQ(got[0x10], std::byte(0xbb));
  EXPECT_EQ(got[0x20], std::byte(0xa0));
  EXPECT_EQ(got[0x2f], std::byte(0xaf));

  std::array<std::byte, 0x30> data{};
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = std::byte(i + 1);
  ASSERT_TRUE(physical->write(Gpa(0x100), data));
  EXPECT_EQ(a[0x10], std::byte(1));
  EXPECT_EQ(b[0], std::byte(0x11));
  EXPECT_EQ(a[0], std::byte(0x21));
  ASSERT_EQ(dirty.seen.size(), 3u);
  EXPECT_EQ(dirty.seen[0], (std::pair{Gpa(0x100), std::uint64_t{0x10}}));
  EXPECT_EQ(dirty.seen[1], (std::pair{Gpa(0x110), std::uint64_t{0x10}}));
  EXPECT_EQ(dirty.seen[2], (std::pair{Gpa(0x120), std::uint64_t{0x10}}));
}

TEST_P(PhysicalMemoryTest, AFailedWriteReportsWhatLanded) {
  std::array<std::byte, 0x40> data{};
  data.fill(std::byte(0x77));
  const auto result = physical->write(Gpa(0x110), data);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), FaultReason::kHostMapAbsent);
  std::uint64_t reported = 0;
  for (const auto& [first, size] : dirty.seen) reported += size;
  EXPECT_EQ(reported, 0x20u);
  EXPECT_EQ(a[0xf], std::byte(0x77));
  EXPECT_EQ(a[0x10], std::byte(0xb0)) << "beyond the slot";
}

TEST_P(PhysicalMemoryTest, ReadOnlySlots) {
  std::array<std::byte, 4> four{};
  EXPECT_TRUE(physical->read(Gpa(0x300), four));
  EXPECT_EQ(four[0], std::byte(0xa8));
  EXPECT_EQ(physical->write(Gpa(0x300), four).error(), FaultReason::kHostMapPermission);
  EXPECT_EQ(physical->store64(Gpa(0x300), 0).error(), FaultReason::kHostMapPermission);
  std::uint64_t expected = 0;
  EXPECT_EQ(physical->compare_exchange64(Gpa(0x300), expected, 0).error(),
            FaultReason::kHostMapPermission);
  EXPECT_TRUE(physical->load64(Gpa(0x300)));
  EXPECT_EQ(a[8], std::byte(0xa8));
  EXPECT_TRUE(dirty.seen.empty());
}

TEST_P(PhysicalMemoryTest, WordsAndTheirReports) {
  EXPECT_EQ(*physical->load64(Gpa(0x110)), 0xbbbbbbbbbbbbbbbbu);
  ASSERT_TRUE(physical->store64(Gpa(0x118), 0x1122334455667788));
  EXPECT_EQ(b[8], std::byte(0x88));
  ASSERT_EQ(dirty.seen.size(), 1u);
  EXPECT_EQ(dirty.seen[0], (std::pair{Gpa(0x118), std::uint64_t{8}}));

  std::uint64_t expected = 5;
  EXPECT_FALSE(*physical->compare_exchange64(Gpa(0x118), expected, 9));
  EXPECT_EQ(expected, 0x1122334455667788u);
  EXPECT_EQ(dirty.seen.size(), 1u) << "nothing was written";
  EXPECT_TRUE(*physical->compare_exchange64(Gpa(0x118), expected, 9));
  EXPECT_EQ(dirty.seen.size(), 2u);
}

TEST_P(PhysicalMemoryTest, WordsThatCannotBeWhole) {
  for (const std::uint64_t at : {0x104ull, 0x111ull, 0x400ull, 0x408ull}) {
    EXPECT_FALSE(physical->load64(Gpa(at))) << at;
    EXPECT_FALSE(physical->store64(Gpa(at), 0)) << at;
    std::uint64_t expected = 0;
    EXPECT_FALSE(physical->compare_exchange64(Gpa(at), expected, 0)) << at;
  }
  EXPECT_TRUE(dirty.seen.empty());
}

TEST_P(PhysicalMemoryTest, NothingToDoIsDone) {
  EXPECT_TRUE(physical->read(Gpa(0x999), {}));
  EXPECT_TRUE(physical->write(Gpa(0x999), {}));
  physical->report_dirty(Gpa(0x100), 0);
  EXPECT_TRUE(dirty.seen.empty());
}

// A word of which the two halves lie in different slots is no word.
TEST(PhysicalMemory, AWordAcrossTwoSlots) {
  alignas(8) std::array<std::byte, 32> host{};
  const auto memory = std::make_shared<GuestMemory>(GuestMemory::single(Hpa(0), host));
  auto slots = MemorySlots::create({{Gpa(0), 4, Hpa(0)}, {Gpa(4), 4, Hpa(12)}});
  ASSERT_TRUE(slots);
  const PhysicalMemory physical(memory, std::make_shared<MemorySlots>(std::move(slots).value()));
  EXPECT_FALSE(physical.load64(Gpa(0)));
  EXPECT_FALSE(physical.store64(Gpa(0), ~0ull)) << "a torn table entry (L3)";
  EXPECT_EQ(host[0], std::byte(0));
}

TEST(PhysicalMemory, TheLastByteAndNotRoundToTheFirst) {
  alignas(8) std::array<std::byte, 8> low{};
  alignas(8) std::array<std::byte, 8> high{};
  auto made =
      GuestMemory::create({{.first = Hpa(0), .size = 8, .host = low.data()},
                           {.first = Hpa(0xfffffffffffffff8), .size = 8, .host = high.data()}});
  ASSERT_TRUE(made);
  Dirty dirty;
  const PhysicalMemory physical(std::make_shared<GuestMemory>(std::move(made).value()), nullptr,
                                &dirty);
  EXPECT_EQ(physical.resolve(Gpa(~0ull))->contiguous, 1u);
  EXPECT_TRUE(physical.store64(Gpa(0xfffffffffffffff8), 1));
  std::array<std::byte, 9> data{};
  data.fill(std::byte(9));
  EXPECT_EQ(physical.write(Gpa(0xfffffffffffffff8), data).error(), FaultReason::kAddressWraps);
  EXPECT_EQ(high[7], std::byte(9));
  EXPECT_EQ(low[0], std::byte(0));
  std::array<std::byte, 9> got{};
  EXPECT_EQ(physical.read(Gpa(0xfffffffffffffff8), got).error(), FaultReason::kAddressWraps);
}

TEST(PhysicalMemory, ManySlotsAreSearchedRight) {
  alignas(8) static std::array<std::byte, 64 * 16> host{};
  const auto memory = std::make_shared<GuestMemory>(GuestMemory::single(Hpa(0), host));
  for (std::size_t count = 1; count <= 64; ++count) {
    std::vector<MemorySlot> list;
    for (std::size_t i = 0; i < count; ++i)
      list.push_back({Gpa(0x100 * i + 0x40), 0x10, Hpa(16 * (count - 1 - i))});
    auto slots = MemorySlots::create(list);
    ASSERT_TRUE(slots);
    const PhysicalMemory physical(memory, std::make_shared<MemorySlots>(std::move(slots).value()));
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_FALSE(physical.resolve(Gpa(0x100 * i + 0x3f)));
      ASSERT_TRUE(physical.resolve(Gpa(0x100 * i + 0x4f)));
      EXPECT_EQ(physical.resolve(Gpa(0x100 * i + 0x40))->hpa, Hpa(16 * (count - 1 - i)));
      EXPECT_FALSE(physical.resolve(Gpa(0x100 * i + 0x50)));
    }
  }
}

TEST(PhysicalMemory, NoSlotsAtAll) {
  alignas(8) std::array<std::byte, 8> host{};
  const auto memory = std::make_shared<GuestMemory>(GuestMemory::single(Hpa(0), host));
  auto slots = MemorySlots::create({});
  const PhysicalMemory physical(memory, std::make_shared<MemorySlots>(std::move(slots).value()));
  EXPECT_EQ(physical.resolve(Gpa(0)).error(), FaultReason::kHostMapAbsent);
}

}  // namespace
}  // namespace weir::pagetables
