// SPDX-License-Identifier: Apache-2.0
//
// The core as a unit sees it, reduced to what a test needs: a few MiB of guest memory from address
// 0 on, a list of everything the unit asked for, and tickets that stay unsettled for as long as the
// test holds them. Any thread.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/guest_memory.h"
#include "iommu/unit.h"
#include "pagetables/physical_memory.h"

namespace weir::vtd::test {

inline constexpr std::uint64_t kRamBytes = std::uint64_t{4} << 20;

class FakeHost : public UnitHost {
 public:
  FakeHost()
      : words_(std::make_unique<std::uint64_t[]>(kRamBytes / 8)),
        memory_(std::make_shared<GuestMemory>(GuestMemory::single(
            Hpa(0), std::as_writable_bytes(std::span(words_.get(), kRamBytes / 8))))) {}

  // Guest memory, as the guest writes and reads it.
  void store(std::uint64_t at, std::uint64_t word) { (void)memory_.store64(Gpa(at), word); }
  [[nodiscard]] std::uint64_t load(std::uint64_t at) const { return *memory_.load64(Gpa(at)); }
  [[nodiscard]] std::uint32_t load32(std::uint64_t at) const {
    std::uint32_t word = 0;
    (void)memory_.read(Gpa(at), std::as_writable_bytes(std::span(&word, 1)));
    return word;
  }
  [[nodiscard]] const pagetables::PhysicalMemory& memory() const { return memory_; }

  // Tickets given from now on settle only when released.
  void hold() { held_ = true; }
  void release() {
    const std::lock_guard lock(mutex_);
    held_ = false;
    open_.clear();
  }
  // Settles the oldest ticket still open.
  void release_one() {
    const std::lock_guard lock(mutex_);
    if (!open_.empty()) open_.erase(open_.begin());
  }
  [[nodiscard]] std::size_t open_tickets() const {
    const std::lock_guard lock(mutex_);
    return open_.size();
  }

  // The most invalidations that one ticket has stood for.
  [[nodiscard]] std::size_t largest_cover() const {
    const std::lock_guard lock(mutex_);
    return largest_cover_;
  }

  // What the unit did. The copies are for tests with threads.
  [[nodiscard]] std::vector<iotlb::Invalidation> invalidations() const {
    const std::lock_guard lock(mutex_);
    return invalidations_;
  }
  [[nodiscard]] std::vector<Msi> messages() const {
    const std::lock_guard lock(mutex_);
    return messages_;
  }
  [[nodiscard]] std::vector<UnitMode> modes() const {
    const std::lock_guard lock(mutex_);
    return modes_;
  }
  void forget() {
    const std::lock_guard lock(mutex_);
    invalidations_.clear();
    messages_.clear();
    modes_.clear();
  }
  // Called once, between finding the answer of settled() and giving it.
  std::function<void()> after_asking;
  // Called by the unit's interrupts, as a sink that calls back would be.
  std::function<void(Msi)> on_raise;
  std::uint16_t segment_number = 0;

  [[nodiscard]] UnitId id() const override { return {}; }
  [[nodiscard]] std::uint16_t segment() const override { return segment_number; }
  [[nodiscard]] const Clock& clock() const override { return clock_; }
  [[nodiscard]] Result<Done, FaultReason> read_memory(Gpa at, std::span<std::byte> to) override {
    return memory_.read(at, to);
  }
  [[nodiscard]] Result<Done, FaultReason> write_memory(Gpa at,
                                                       std::span<const std::byte> from) override {
    return memory_.write(at, from);
  }
  void set_mode(UnitMode mode) override {
    const std::lock_guard lock(mutex_);
    modes_.push_back(mode);
  }
  Ticket invalidate(const iotlb::Invalidation& invalidation) override {
    const std::lock_guard lock(mutex_);
    invalidations_.push_back(invalidation);
    return give_ticket();
  }
  void drop(const iotlb::Invalidation& invalidation) override {
    const std::lock_guard lock(mutex_);
    invalidations_.push_back(invalidation);
  }
  Ticket cover(std::span<const iotlb::Invalidation> dropped) override {
    const std::lock_guard lock(mutex_);
    largest_cover_ = std::max(largest_cover_, dropped.size());
    return give_ticket();
  }
  Ticket drain() override {
    const std::lock_guard lock(mutex_);
    return give_ticket();
  }
  [[nodiscard]] bool settled(Ticket ticket) override {
    bool answer = false;
    {
      const std::lock_guard lock(mutex_);
      answer = open_.count(ticket.serial) == 0;
    }
    if (after_asking) std::exchange(after_asking, nullptr)();
    return answer;
  }
  void raise(Msi msi) override {
    {
      const std::lock_guard lock(mutex_);
      messages_.push_back(msi);
    }
    if (on_raise) on_raise(msi);
  }

 private:
  Ticket give_ticket() {
    if (!held_) return {};
    open_.insert(++serial_);
    return {serial_};
  }

  ManualClock clock_;
  std::unique_ptr<std::uint64_t[]> words_;
  pagetables::PhysicalMemory memory_;

  mutable std::mutex mutex_;
  std::atomic<bool> held_{false};
  std::uint64_t serial_ = 0;
  std::size_t largest_cover_ = 0;
  std::set<std::uint64_t> open_;
  std::vector<iotlb::Invalidation> invalidations_;
  std::vector<Msi> messages_;
  std::vector<UnitMode> modes_;
};

}  // namespace weir::vtd::test
