// SPDX-License-Identifier: Apache-2.0
//
// A machine with a virtio-iommu, a model of Linux' driver for it, and three functions behind it,
// 00:02.0, 00:03.0 and 00:04.0, whose endpoint ids are their source-ids. Everything that a guest
// does goes through registers, rings and memory.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "iommu/iommu.h"
#include "replay/viommu_driver.h"
#include "replay/virtio_driver_numbers.h"
#include "vendors/virtio_iommu/unit.h"

namespace weir::virtio_iommu::test {

namespace guest = replay::virtio_driver;
using replay::ViommuDriver;
using replay::ViommuDriverOptions;

inline constexpr std::uint64_t kRamBytes = std::uint64_t{16} << 20;
inline constexpr Gpa kDriverArea{0x400000};
inline constexpr std::uint64_t kUnitName = 0x10000;
inline constexpr std::uint16_t kNvme = 0x10, kDisk = 0x18, kNet = 0x20;  // 00:02.0 and so on
inline constexpr std::uint32_t kStranger = 0x77;                         // no endpoint

// Fault flags as Linux writes them (include/uapi/linux/virtio_iommu.h).
inline constexpr std::uint32_t kFaultRead = 1, kFaultWrite = 2, kFaultAddress = 0x100;

class AllOfTheSegment final : public TableParser {
 public:
  [[nodiscard]] Result<Coverage, TableError> parse(std::span<const std::byte>) const override {
    return Coverage{{UnitCoverage{.register_base = kUnitName, .rest_of_segment = true}}};
  }
};

// Called from whoever makes the device interrupt; looked at when nobody does any more.
class Interrupts final : public virtio::InterruptSink {
 public:
  void on_interrupt(const virtio::Interrupt& interrupt) override {
    const MutexLock lock(mutex_);
    all.push_back(interrupt);
  }
  void on_line(bool asserted) override {
    const MutexLock lock(mutex_);
    line = asserted;
  }
  [[nodiscard]] std::size_t of_queue(std::uint16_t queue) const {
    std::size_t count = 0;
    for (const auto& one : all)
      count += one.cause == virtio::Interrupt::Cause::kQueue && one.queue == queue ? 1 : 0;
    return count;
  }
  std::vector<virtio::Interrupt> all;
  bool line = false;

 private:
  Mutex mutex_;
};

[[nodiscard]] inline Options options_with_endpoints(Options options = {}) {
  for (const std::uint16_t sid : {kNvme, kDisk, kNet})
    options.endpoints.push_back({.requester = Requester::from_sid(sid), .id = sid});
  return options;
}

class ViommuTest : public testing::Test {
 protected:
  explicit ViommuTest(Options options = {}, const ViommuDriverOptions& driver_options = {})
      : words_(std::make_unique<std::uint64_t[]>(kRamBytes / 8)),
        memory_(std::make_shared<GuestMemory>(GuestMemory::single(Hpa(0), ram()))),
        physical_(memory_),
        iommu_({.memory = memory_}) {
    options.interrupts = &interrupts_;
    static constexpr std::array kTable = {std::byte{1}};
    EXPECT_TRUE(iommu_.use_tables(AllOfTheSegment{}, kTable));
    unit_ = &iommu_.add_unit<Unit>(kUnitName, options_with_endpoints(std::move(options)));
    bring_up(driver_options);
  }

  void bring_up(const ViommuDriverOptions& options = {}) {
    auto driver = ViommuDriver::create(unit_->device(), physical_, kDriverArea, options);
    ASSERT_TRUE(driver) << driver.error();
    driver_ = std::move(driver).value();
  }

  [[nodiscard]] std::span<std::byte> ram() {
    return std::as_writable_bytes(std::span(words_.get(), kRamBytes / 8));
  }
  [[nodiscard]] DmaPort& port(std::uint16_t sid) {
    auto& port = ports_[sid];
    if (port == nullptr) port = iommu_.attach({.function = Requester::from_sid(sid)}).value();
    return *port;
  }

  // Where one byte of a function's DMA comes to lie; nothing: it is refused.
  [[nodiscard]] std::optional<std::uint64_t> lands(std::uint16_t sid, std::uint64_t iova,
                                                   Access access = Access::kRead) {
    const auto found = port(sid).translate(Iova(iova), 1, access);
    if (!found) return std::nullopt;
    return found->gpa.value();
  }
  // The one event that a refused access has left.
  [[nodiscard]] std::optional<ViommuDriver::Event> event_of(std::uint16_t sid, std::uint64_t iova,
                                                            Access access = Access::kRead) {
    EXPECT_TRUE(driver_->take_events().empty());
    EXPECT_FALSE(lands(sid, iova, access));
    const auto events = driver_->take_events();
    EXPECT_EQ(events.size(), 1U);
    if (events.size() != 1) return std::nullopt;
    return events.front();
  }
  [[nodiscard]] std::uint32_t status() { return driver_->read32(guest::kStatus); }

  std::unique_ptr<std::uint64_t[]> words_;
  std::shared_ptr<const GuestMemory> memory_;
  pagetables::PhysicalMemory physical_;
  Interrupts interrupts_;
  Iommu iommu_;
  Unit* unit_ = nullptr;
  std::unique_ptr<ViommuDriver> driver_;
  std::map<std::uint16_t, std::unique_ptr<DmaPort>> ports_;
};

}  // namespace weir::virtio_iommu::test
