// SPDX-License-Identifier: Apache-2.0
//
// A guest maps and unmaps on one thread while a device does DMA on another (L1, L2, L3): what a
// guest has been told is unmapped is not reached any more, and what it has been told is mapped is,
// at the place it said last. And a guest that resets the device over and over in the middle of it.
#include <atomic>
#include <thread>

#include "tests/iotlb/stress.h"
#include "tests/virtio_iommu/fixture.h"

namespace weir::virtio_iommu::test {
namespace {

constexpr std::uint64_t kPages = 16;

[[nodiscard]] std::uint64_t output_of(std::uint64_t version) { return version % 512 * 0x1000; }

class QueueStressTest : public ViommuTest {
 protected:
  QueueStressTest()
      : ViommuTest({},
                   {.ring = {.size = 64, .packed = true, .indirect = true, .event_index = true}}) {}

  // The guest waits as Linux does: by looking.
  void wait() {
    while (!driver_->collect()) std::this_thread::yield();
  }

  // What the guest knows of each page: even, it is unmapped for certain; odd and last bit of the
  // second word clear, it is mapped to output_of(version) for certain; else it is changing.
  struct Page {
    std::atomic<std::uint64_t> settled{0};  // version * 2 + mapped
    std::atomic<bool> changing{false};
  };
  std::array<Page, kPages> pages_;
};

TEST_F(QueueStressTest, NothingStaleIsReachedAfterItsCompletion) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  DmaPort& device = port(kNvme);
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> checked{0};
  std::atomic<std::uint64_t> wrong{0};

  std::thread dma([&] {
    std::uint64_t n = 0;
    // Acquire, all: pair with the guest's releases below.
    while (!over.load(std::memory_order_acquire)) {
      Page& page = pages_[++n % kPages];
      DmaPort::Burst burst(device);
      for (int i = 0; i < 4; ++i) {
        const std::uint64_t before = page.settled.load(std::memory_order_acquire);
        if (page.changing.load(std::memory_order_acquire)) continue;
        const auto got = burst.translate(Iova((n % kPages) * 0x1000 + 8), 4, Access::kRead);
        if (page.changing.load(std::memory_order_acquire) ||
            page.settled.load(std::memory_order_acquire) != before)
          continue;
        const bool mapped = before % 2 == 1;
        const bool good =
            mapped ? got.ok() && got->gpa == Gpa(output_of(before / 2) + 8) : !got.ok();
        // Relaxed: counts.
        checked.fetch_add(1, std::memory_order_relaxed);
        if (!good) wrong.fetch_add(1, std::memory_order_relaxed);
      }
    }
  });

  std::uint64_t version = 0;
  for (std::uint64_t round = 0; round < kRounds / 40; ++round) {
    Page& page = pages_[round % kPages];
    const std::uint64_t at = round % kPages * 0x1000;
    const bool mapped = page.settled.load(std::memory_order_relaxed) % 2 == 1;
    page.changing.store(true, std::memory_order_seq_cst);
    driver_->forget_replies();
    if (mapped) {
      ASSERT_TRUE(driver_->post(ViommuDriver::unmap_bytes(1, at, at + 0xfff)));
    } else {
      ASSERT_TRUE(driver_->post(ViommuDriver::map_bytes(1, at, at + 0xfff, output_of(++version))));
    }
    driver_->kick();
    wait();
    ASSERT_EQ(driver_->replies()[0].status, guest::kOk);
    // Release, both: the device's next burst may rest on it.
    page.settled.store(version * 2 + (mapped ? 0 : 1), std::memory_order_release);
    page.changing.store(false, std::memory_order_release);
  }
  over.store(true, std::memory_order_release);
  dma.join();
  EXPECT_EQ(wrong.load(), 0U);
  EXPECT_GT(checked.load(), 0U);
}

TEST_F(QueueStressTest, ResetsInTheMiddleOfEverything) {
  DmaPort& device = port(kNvme);
  std::atomic<bool> over{false};
  std::thread dma([&] {
    std::uint64_t n = 0;
    // Acquire: pairs with the end below.
    while (!over.load(std::memory_order_acquire)) {
      DmaPort::Burst burst(device);
      (void)burst.translate(Iova(++n % 64 * 0x1000), 4, Access::kWrite);
      if (n % 7 == 0) (void)unit_->window(Requester::from_sid(kNvme), Iova(n % 64 * 0x1000));
    }
  });
  for (std::uint64_t round = 0; round < kRounds / 1000; ++round) {
    driver_->write32(guest::kStatus, 0);
    while (status() != 0) std::this_thread::yield();
    bring_up({.ring = {.size = 32, .packed = round % 2 == 0, .indirect = true}});
    ASSERT_TRUE(driver_->post(ViommuDriver::attach_bytes(1, kNvme)));
    for (std::uint64_t i = 0; i < 8; ++i)
      ASSERT_TRUE(
          driver_->post(ViommuDriver::map_bytes(1, i * 0x1000, i * 0x1000 + 0xfff, 0x100000)));
    ASSERT_TRUE(driver_->post(ViommuDriver::unmap_bytes(1, 0, 0x3fff)));
    driver_->kick();
    if (round % 3 != 0) {
      wait();
      for (const auto& reply : driver_->replies()) ASSERT_EQ(reply.status, guest::kOk);
    }
    driver_->set_bypass(static_cast<std::uint8_t>(round % 2));
    ASSERT_EQ(status() & guest::kNeedsReset, 0U);
  }
  over.store(true, std::memory_order_release);
  dma.join();
}

}  // namespace
}  // namespace weir::virtio_iommu::test
