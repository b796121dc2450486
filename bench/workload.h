// SPDX-License-Identifier: Apache-2.0
//
// What every subject of a figure is asked, and what it must answer: 4096 neighbouring pages of a
// device's address space, each backed by a page somewhere in guest memory, never next to its
// neighbour's, and requests to random bytes of them, drawn before any clock runs.
//
// Constant after construction; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/address.h"

namespace weir::bench {

struct WorkloadOptions {
  std::size_t pages = 4096;
  std::size_t requests = std::size_t{1} << 18;  // a multiple of kBatch
};

class Workload {
 public:
  static constexpr std::uint64_t kRequestBytes = 64;
  // Requests between two looks at the sum of the answers.
  static constexpr std::size_t kBatch = 1024;
  static constexpr std::uint64_t kFirstPage = 0x8000'0000;  // an IOVA
  // From this index on, pages that nobody asks for.
  static constexpr std::uint64_t kUnusedPage = 0x10'0000;

  // Where guest memory lies: as on a PC, below and above the hole under 4 GiB.
  struct Slot {
    std::uint64_t first = 0;
    std::uint64_t size = 0;
  };
  static constexpr Slot kSlots[] = {
      {0, 0xa'0000}, {0x10'0000, 0x3ff'0000}, {0x1'0000'0000, 0x400'0000}};

  explicit Workload(const WorkloadOptions& options);

  [[nodiscard]] std::size_t pages() const { return gpas_.size(); }
  [[nodiscard]] Iova page(std::size_t index) const { return Iova(kFirstPage + index * kPageSize); }
  // Where the page lies, and where the byte does.
  [[nodiscard]] Gpa gpa_of_page(std::size_t index) const { return gpas_[index]; }
  [[nodiscard]] Gpa expected(Iova iova) const {
    const std::uint64_t distance = iova.value() - kFirstPage;
    return gpas_[distance / kPageSize] + distance % kPageSize;
  }

  [[nodiscard]] std::size_t batches() const { return requests_.size() / kBatch; }
  // Distances from the base of a stream.
  [[nodiscard]] std::span<const std::uint32_t> batch(std::size_t index) const {
    return std::span(requests_).subspan(index * kBatch, kBatch);
  }

  // The requests as a device makes them: from which address their distances count, and the sum of
  // the right answers of every batch, modulo 2^64.
  struct Stream {
    Iova base;
    std::vector<std::uint64_t> sums;
  };
  [[nodiscard]] const Stream& translated() const { return translated_; }
  // Into guest memory as it is, for a device that bypasses.
  [[nodiscard]] const Stream& identity() const { return identity_; }

 private:
  std::vector<Gpa> gpas_;
  std::vector<std::uint32_t> requests_;
  Stream translated_{Iova(kFirstPage), {}};
  Stream identity_{Iova(kSlots[2].first), {}};
};

}  // namespace weir::bench
