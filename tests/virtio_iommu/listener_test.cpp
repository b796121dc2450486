// SPDX-License-Identifier: Apache-2.0
//
// Who follows an endpoint's mappings hears of exactly what changes, and before the request that
// changed it has its status (L1; virtio 1.4, 5.13.6.5 and 5.13.6.6: MAP and UNMAP are the only ways
// in which mappings come and go).
#include <algorithm>
#include <functional>
#include <random>
#include <vector>

#include "iommu/map_listener.h"
#include "tests/virtio_iommu/fixture.h"
#include "vendors/virtio_iommu/translate.h"

namespace weir::virtio_iommu::test {
namespace {

using Told = weir::Mapping;

// Keeps what a VFIO container would.
class Container final : public MapListener {
 public:
  void on_map(const Told& mapping) override {
    ++maps;
    if (at_call) at_call();
    EXPECT_TRUE(held.emplace(mapping.range.first.value(), mapping).second);
  }
  void on_unmap(const Told& mapping) override {
    ++unmaps;
    if (at_call) at_call();
    const auto found = held.find(mapping.range.first.value());
    ASSERT_NE(found, held.end()) << "never mapped";
    EXPECT_EQ(found->second, mapping);
    held.erase(found);
  }
  void on_lost() override { lost = true; }

  std::map<std::uint64_t, Told> held;
  std::size_t maps = 0;
  std::size_t unmaps = 0;
  bool lost = false;
  std::function<void()> at_call;
};

[[nodiscard]] Told told(std::uint64_t first, std::uint64_t last, std::uint64_t gpa,
                        Permissions permissions = Permissions::read_write()) {
  return {.range = {Iova(first), Iova(last)}, .gpa = Gpa(gpa), .permissions = permissions};
}

class ListenerTest : public ViommuTest {
 protected:
  explicit ListenerTest(const Options& options = {}) : ViommuTest(options) {}

  void listen(std::uint16_t sid = kNvme) {
    auto made = port(sid).listen(container_);
    ASSERT_TRUE(made) << made.error();
    listening_ = std::move(made).value();
  }
  void post(std::span<const std::byte> request) {
    ASSERT_TRUE(driver_->post(request));
    driver_->kick();
  }

  Container container_;
  std::unique_ptr<Listening> listening_;
};

TEST_F(ListenerTest, HearsWhatIsThereAndThenExactlyWhatChanges) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  listen();
  ASSERT_EQ(container_.held.size(), 1U);
  EXPECT_EQ(container_.held.at(0x1000), told(0x1000, 0x1fff, 0x8000));
  ASSERT_EQ(driver_->map(1, 0x200000, 0x3fffff, 0x400000, 1), guest::kOk);
  EXPECT_EQ(container_.held.at(0x200000),
            told(0x200000, 0x3fffff, 0x400000, Permissions::read_only()));
  ASSERT_EQ(driver_->map(1, 0x5000, 0x7fff, 0x5000), guest::kOk);
  EXPECT_EQ(container_.maps, 4U) << "blocks: 0x5000 and 0x6000 to 0x7fff";
  EXPECT_EQ(container_.held.at(0x6000), told(0x6000, 0x7fff, 0x6000));
  EXPECT_EQ(driver_->unmap(1, 0x5000, 0x5fff), guest::kRange) << "nothing has changed";
  EXPECT_EQ(driver_->map(1, 0x7000, 0x8fff, 0x5000), guest::kInval);
  EXPECT_EQ(container_.unmaps, 0U);
  ASSERT_EQ(driver_->unmap(1, 0x5000, 0x7fff), guest::kOk);
  EXPECT_EQ(container_.unmaps, 2U);
  EXPECT_EQ(container_.held.size(), 2U);
  EXPECT_EQ(container_.maps, 4U);
  ASSERT_EQ(driver_->map(1, 0x9000, 0x9fff, 0x5000, 0), guest::kOk);
  EXPECT_EQ(container_.maps, 4U) << "a mapping that permits nothing";
  EXPECT_EQ(lands(kNvme, 0x1000), 0x8000U);
}

// 5.13.6.3: an endpoint that is attached has the domain's mappings, at once; one that bypasses has
// all of memory.
TEST_F(ListenerTest, AttachAndDetachReplay) {
  ASSERT_EQ(driver_->attach(1, kDisk), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x2000, 0x2fff, 0x7000), guest::kOk);
  listen();
  EXPECT_EQ(container_.held.size(), 2U) << "identity, but for the interrupt range";
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  EXPECT_EQ(container_.unmaps, 2U);
  ASSERT_EQ(container_.held.size(), 2U);
  EXPECT_EQ(container_.held.at(0x2000), told(0x2000, 0x2fff, 0x7000));
  ASSERT_EQ(driver_->attach(2, kNvme), guest::kOk);
  EXPECT_TRUE(container_.held.empty());
  ASSERT_EQ(driver_->map(2, 0x1000, 0x1fff, 0x9000), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x3000, 0x3fff, 0x6000), guest::kOk) << "another domain's";
  ASSERT_EQ(container_.held.size(), 1U);
  EXPECT_EQ(container_.held.at(0x1000).gpa, Gpa(0x9000));
  ASSERT_EQ(driver_->attach(3, kNvme, guest::kAttachBypass), guest::kOk);
  EXPECT_EQ(container_.held.at(0).gpa, Gpa(0));
  driver_->set_bypass(0);
  EXPECT_EQ(container_.held.size(), 2U);
  ASSERT_EQ(driver_->detach(3, kNvme), guest::kOk);
  EXPECT_TRUE(container_.held.empty());
  driver_->set_bypass(1);
  EXPECT_EQ(container_.held.size(), 2U);
  EXPECT_FALSE(container_.lost);
}

// Whatever a batch did in between, what is told is what it came to.
TEST_F(ListenerTest, ABatchIsOneChange) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  listen();
  const auto rounds = unit_->counts().rounds;
  ASSERT_TRUE(driver_->post(ViommuDriver::unmap_bytes(1, 0x1000, 0x1fff)));
  ASSERT_TRUE(driver_->post(ViommuDriver::map_bytes(1, 0x1000, 0x1fff, 0x9000)));
  ASSERT_TRUE(driver_->post(ViommuDriver::map_bytes(1, 0x2000, 0x2fff, 0xa000)));
  ASSERT_TRUE(driver_->post(ViommuDriver::map_bytes(1, 0x3000, 0x3fff, 0xb000)));
  ASSERT_TRUE(driver_->post(ViommuDriver::unmap_bytes(1, 0x3000, 0x3fff)));
  driver_->kick();
  ASSERT_TRUE(driver_->collect());
  EXPECT_EQ(unit_->counts().rounds, rounds + 1);
  EXPECT_EQ(container_.unmaps, 1U);
  EXPECT_EQ(container_.maps, 3U);
  EXPECT_EQ(container_.held.at(0x1000).gpa, Gpa(0x9000));
  EXPECT_EQ(container_.held.size(), 2U);
}

TEST_F(ListenerTest, HasHeardBeforeTheStatusIsWritten) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  listen();
  driver_->forget_replies();
  int calls = 0;
  container_.at_call = [&] {
    ++calls;
    EXPECT_FALSE(driver_->collect()) << "the status is there already";
  };
  post(ViommuDriver::map_bytes(1, 0x1000, 0x1fff, 0x8000));
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(driver_->collect());
  post(ViommuDriver::unmap_bytes(1, 0x1000, 0x1fff));
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(driver_->collect());
  for (const auto& reply : driver_->replies()) EXPECT_EQ(reply.status, guest::kOk);
}

// Being announced makes no MAP wait; and nobody goes on seeing that nothing is there.
TEST_F(ListenerTest, AMapStillWaitsForNobodyAndIsSeenAtOnce) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  listen();
  std::optional<DmaPort::Burst> burst(std::in_place, port(kNvme));
  for (int times = 0; times < 3; ++times)
    EXPECT_FALSE(burst->translate(Iova(0x3000), 4, Access::kRead));
  post(ViommuDriver::map_bytes(1, 0x3000, 0x3fff, 0xa000));
  EXPECT_TRUE(driver_->collect());
  EXPECT_TRUE(burst->translate(Iova(0x3000), 4, Access::kRead));
  EXPECT_TRUE(burst->translate(Iova(0x3000), 4, Access::kWrite));
  post(ViommuDriver::unmap_bytes(1, 0x3000, 0x3fff));
  EXPECT_FALSE(driver_->collect()) << "an UNMAP does";
  EXPECT_TRUE(container_.held.empty());
  burst.reset();
  EXPECT_TRUE(driver_->collect());
  EXPECT_FALSE(lands(kNvme, 0x3000));
}

// Faults that are answered from what is kept of absence are reported like any other.
TEST_F(ListenerTest, FaultsAreReportedAsBefore) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  listen();
  for (int times = 0; times < 3; ++times) {
    const auto event = event_of(kNvme, 0x5678, Access::kWrite);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->reason, 2) << "MAPPING";
    EXPECT_EQ(event->flags, kFaultAddress | kFaultWrite);
    EXPECT_EQ(event->address, 0x5678U);
  }
}

// Few mappings far apart in 64 bits of address: what lies between is no work.
TEST_F(ListenerTest, HolesAreSkipped) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  constexpr std::uint64_t k2M = 0x200000;
  for (const std::uint64_t at :
       {std::uint64_t{0}, std::uint64_t{1} << 40, std::uint64_t{1} << 55, ~std::uint64_t{0} << 21})
    ASSERT_EQ(driver_->map(1, at, at + k2M - 1, 0x400000), guest::kOk);
  ASSERT_EQ(driver_->map(1, std::uint64_t{1} << 62, (std::uint64_t{1} << 63) - 1, 0), guest::kOk);
  ASSERT_EQ(driver_->map(1, std::uint64_t{1} << 50, (std::uint64_t{1} << 54) - 1, 0, 0),
            guest::kOk);
  listen();
  EXPECT_EQ(container_.held.size(), 5U);
  EXPECT_EQ(container_.held.at(~std::uint64_t{0} << 21).range.last, Iova(~std::uint64_t{0}));
  EXPECT_EQ(container_.held.at(std::uint64_t{1} << 62).range.last,
            Iova((std::uint64_t{1} << 63) - 1));
  ASSERT_EQ(driver_->unmap(1, 0, ~std::uint64_t{0}), guest::kOk);
  EXPECT_TRUE(container_.held.empty());
  EXPECT_FALSE(container_.lost);
}

// The level of a fault against all that it says, page by page.
TEST(EmptyLevel, IsTheLargestEmptyBlock) {
  pagetables::FreeAtOnce retirer;
  pagetables::IntervalMap map({}, retirer);
  EXPECT_EQ(empty_level(map, Iova(~std::uint64_t{0})), 7U);
  constexpr std::uint64_t kPages = 2048;
  std::mt19937_64 random(7);
  std::vector<bool> mapped(kPages);
  for (int i = 0; i < 12; ++i) {
    const std::uint64_t page = random() % kPages;
    if (mapped[page]) continue;
    mapped[page] = true;
    ASSERT_EQ(map.map({.range = {Iova(page << 12), Iova((page << 12) + 0xfff)},
                       .output = Gpa(0),
                       .permissions = Permissions::read_only()}),
              pagetables::MapStatus::kMapped);
  }
  for (std::uint64_t page = 0; page < kPages; ++page) {
    unsigned expected = 0;
    for (unsigned level = 1; level <= 3; ++level) {
      const std::uint64_t size = std::uint64_t{1} << (9 * (level - 1));
      const std::uint64_t first = page / size * size;
      bool empty = true;
      for (std::uint64_t p = first; p < std::min(first + size, kPages); ++p)
        empty = empty && !mapped[p];
      if (!empty) break;
      expected = level;
    }
    ASSERT_EQ(empty_level(map, Iova((page << 12) + 0x123)), expected) << page;
  }
  EXPECT_EQ(empty_level(map, Iova(std::uint64_t{1} << 40)), 4U);
}

class SmallGranuleTest : public ListenerTest {
 protected:
  SmallGranuleTest() : ListenerTest({.page_size_mask = ~std::uint64_t{0xff}}) {}
};
TEST_F(SmallGranuleTest, IsNotAnnounced) { EXPECT_FALSE(port(kNvme).listen(container_)); }

// Differential: random requests, singly and in batches; what is held is what the function reaches.
TEST_F(ListenerTest, AgreesWithTheMappingsOverRandomRuns) {
  constexpr std::uint64_t kPages = 512;
  std::mt19937_64 random(3);
  ASSERT_EQ(driver_->attach(1, kDisk), guest::kOk);
  ASSERT_EQ(driver_->attach(2, kNet), guest::kOk);
  listen();
  for (int step = 0; step < 300; ++step) {
    for (std::uint64_t posted = random() % 6; posted != ~std::uint64_t{0}; --posted) {
      const auto domain = static_cast<std::uint32_t>(1 + random() % 2);
      const std::uint64_t first = random() % kPages << 12;
      const std::uint64_t last = first + ((1 + random() % 40) << 12) - 1;
      const std::uint64_t kind = random() % 16;
      if (kind == 0)
        (void)driver_->post(ViommuDriver::attach_bytes(domain, kNvme));
      else if (kind == 1)
        (void)driver_->post(ViommuDriver::detach_bytes(domain, kNvme));
      else if (kind < 6)
        (void)driver_->post(
            ViommuDriver::unmap_bytes(domain, first, first + (kPages << 12) / 4 - 1));
      else
        (void)driver_->post(ViommuDriver::map_bytes(domain, first, last, random() % 64 << 12,
                                                    1 + static_cast<std::uint32_t>(random() % 3)));
    }
    driver_->kick();
    ASSERT_TRUE(driver_->collect());
    driver_->forget_replies();
    for (std::uint64_t page = 0; page < kPages + 40; ++page) {
      const Iova at(page << 12);
      const auto next = container_.held.upper_bound(at.value());
      const Told* mapping = next == container_.held.begin() ? nullptr : &std::prev(next)->second;
      if (mapping != nullptr && mapping->range.last < at) mapping = nullptr;
      for (const Access access : {Access::kRead, Access::kWrite}) {
        const auto reached = port(kNvme).translate(at, 1, access);
        const bool held = mapping != nullptr && mapping->permissions.allows(access);
        ASSERT_EQ(reached.ok(), held) << "step " << step << std::hex << " at " << at.value();
        if (reached) {
          ASSERT_EQ(mapping->gpa + (at - mapping->range.first), reached->gpa);
        }
      }
    }
    (void)driver_->take_events();
  }
  EXPECT_FALSE(container_.lost);
  EXPECT_GT(container_.maps, 100U);
}

}  // namespace
}  // namespace weir::virtio_iommu::test
