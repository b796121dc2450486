// SPDX-License-Identifier: Apache-2.0
//
// A guest and its devices for the concurrency tests. Every IOVA page is mapped to a page of memory
// that stands for one version. The guest maps the next version, flushes, waits for the completion,
// publishes the version, and poisons the page of the old one. Devices check, inside a burst, that
// what they are given is no older than what was published before the burst began; and they write
// through the host pointer, so that a write which lands after the completion is found in the poison
// (L1). The words are plain memory: under TSan a missing edge is found without any luck.
#pragma once

#include <array>
#include <atomic>

#include "tests/iommu/machine.h"
#include "tests/iotlb/stress.h"

namespace weir::testing_iommu {

class VersionedGuest {
 public:
  static constexpr std::size_t kIovas = 8;
  static constexpr std::uint64_t kSpare = 4;  // pages of memory per IOVA page, used in turn
  static constexpr std::size_t kDevices = 3;
  static constexpr std::uint64_t kPoison = 0x5050505050505050;

  explicit VersionedGuest(Machine& machine) : machine_(machine) {
    for (std::size_t i = 0; i < kIovas; ++i) set_version(i, 0);
  }

  static Iova iova(std::size_t i) { return Iova((0x100 + i) << 12); }
  static Gpa page(std::size_t i, std::uint64_t version) {
    return kData + (i * kSpare + version % kSpare) * kPageSize;
  }

  // ---- the guest's thread
  // Prepares the page of `version`, before it is mapped.
  void set_version(std::size_t i, std::uint64_t version) {
    for (std::size_t d = 0; d < kDevices; ++d) word(i, version, d) = 0;
    version_of_[i * kSpare + version % kSpare].store(version, std::memory_order_release);
  }
  // After the completion that covered the old version.
  void complete(std::size_t i, std::uint64_t version) {
    published_[i].store(version, std::memory_order_release);
    for (std::size_t d = 0; d < kDevices; ++d) word(i, version - 1, d) = kPoison;
    // A full turn ago nothing may have landed on the page that is used next.
    if (version < kSpare - 1) return;
    for (std::size_t d = 0; d < kDevices; ++d)
      if (word(i, version + 1, d) != kPoison) landed_late.fetch_add(1);
  }

  // ---- a device's thread, inside a burst
  [[nodiscard]] std::uint64_t published(std::size_t i) const {
    return published_[i].load(std::memory_order_acquire);
  }
  // Uses an answer for page `i` that was asked for after `before` had been published.
  void use(std::size_t i, std::size_t device, const Translation& answer, std::uint64_t before,
           Random& random) {
    const std::uint64_t index = (answer.gpa - kData) / kPageSize;
    if (index / kSpare != i) {
      wrong_page.fetch_add(1);
      return;
    }
    const std::uint64_t version = version_of_[index].load(std::memory_order_acquire);
    if (version < before) stale.fetch_add(1);
    auto* const mine = reinterpret_cast<std::uint64_t*>(answer.host);
    if (*mine == kPoison) stale.fetch_add(1);
    linger(random);
    *mine = version * kDevices + device;
    uses.fetch_add(1, std::memory_order_relaxed);
  }
  static std::uint64_t offset_of(std::size_t device) { return 64 * device; }

  std::atomic<std::uint64_t> stale{0};
  std::atomic<std::uint64_t> landed_late{0};
  std::atomic<std::uint64_t> wrong_page{0};
  std::atomic<std::uint64_t> uses{0};
  std::atomic<bool> stop{false};

 private:
  std::uint64_t& word(std::size_t i, std::uint64_t version, std::size_t device) {
    return machine_.word(page(i, version) + offset_of(device));
  }

  Machine& machine_;
  std::array<std::atomic<std::uint64_t>, kIovas * kSpare> version_of_{};
  std::array<std::atomic<std::uint64_t>, kIovas> published_{};
};

// Devices of one guest: bursts, copies, pins. Counts its pieces, for the books.
class VersionedDevice {
 public:
  VersionedDevice(VersionedGuest& guest, DmaPort& port, std::size_t number)
      : guest_(guest), port_(port), number_(number), random_(number + 1) {}

  void run() {
    while (!guest_.stop) {
      switch (random_.below(8)) {
        case 0:
          pin();
          break;
        case 1:
          copy();
          break;
        default:
          burst();
      }
      turns.fetch_add(1, std::memory_order_relaxed);
    }
  }

  std::atomic<std::uint64_t> turns{0};
  std::uint64_t pieces = 0;  // read once the thread has ended
  std::uint64_t faults = 0;

 private:
  void burst() {
    DmaPort::Burst burst(port_);
    for (std::uint64_t n = 1 + random_.below(6); n != 0; --n) {
      const std::size_t i = random_.below(VersionedGuest::kIovas);
      const std::uint64_t before = guest_.published(i);
      const auto got = burst.translate(VersionedGuest::iova(i) + VersionedGuest::offset_of(number_),
                                       8, Access::kWrite);
      ++pieces;
      if (got)
        guest_.use(i, number_, *got, before, random_);
      else
        ++faults;
    }
  }
  void pin() {
    const std::size_t i = random_.below(VersionedGuest::kIovas);
    const std::uint64_t before = guest_.published(i);
    const auto got =
        port_.map(VersionedGuest::iova(i) + VersionedGuest::offset_of(number_), 8, Access::kWrite);
    ++pieces;
    if (!got) {
      ++faults;
      return;
    }
    const auto& span = got->spans()[0];
    Translation pinned;
    pinned.gpa = span.gpa;
    pinned.host = span.host;
    guest_.use(i, number_, pinned, before, random_);
  }
  // A copy that crosses into the next page, and a read; onto bytes that nobody else touches.
  void copy() {
    std::array<std::byte, 8> data{};
    const Iova at = VersionedGuest::iova(0) + 0x800 + 64 * number_;
    faults += port_.write(at, data) ? 0 : 1;
    faults += port_.read(at, data) ? 0 : 1;
    pieces += 2;
  }

  VersionedGuest& guest_;
  DmaPort& port_;
  const std::size_t number_;
  Random random_;
};

}  // namespace weir::testing_iommu
