// SPDX-License-Identifier: Apache-2.0
//
// Guest memory for page-table tests: `pages` zeroed pages from address 0, and words in them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/guest_memory.h"
#include "pagetables/physical_memory.h"

namespace weir::pagetables {

class TableMemory {
 public:
  explicit TableMemory(std::size_t pages = 64)
      : words_(pages * 512),
        physical_(std::make_shared<GuestMemory>(GuestMemory::single(
            Hpa(0), std::as_writable_bytes(std::span(words_.data(), words_.size()))))) {}

  [[nodiscard]] const PhysicalMemory& physical() const { return physical_; }
  std::uint64_t& at(std::uint64_t address) { return words_.at(address / 8); }
  // The next unused page, from page 1 on; page 0 stays empty.
  [[nodiscard]] std::optional<Gpa> allocate() {
    if (next_ * 512 >= words_.size()) return std::nullopt;
    return Gpa(next_++ * kPageSize);
  }

 private:
  std::vector<std::uint64_t> words_;
  std::uint64_t next_ = 1;
  PhysicalMemory physical_;
};

}  // namespace weir::pagetables
