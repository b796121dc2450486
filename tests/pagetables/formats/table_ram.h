// SPDX-License-Identifier: Apache-2.0
//
// Memory for tables that are built: a piece of RAM from address 0, its pages handed out one by one.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "pagetables/physical_memory.h"

namespace weir::pagetables::facts {

class TableRam {
 public:
  explicit TableRam(std::size_t pages = 256)
      : words_(pages * 512),
        memory_(std::make_shared<GuestMemory>(GuestMemory::single(
            Hpa(0), std::as_writable_bytes(std::span(words_.data(), words_.size()))))),
        physical_(std::make_shared<PhysicalMemory>(memory_)) {}

  [[nodiscard]] std::uint64_t& at(std::uint64_t address) { return words_.at(address / 8); }
  // From page 1 on; page 0 stays empty.
  [[nodiscard]] std::optional<Gpa> allocate() {
    if (next_ * 512 >= words_.size()) return std::nullopt;
    return Gpa(next_++ * kPageSize);
  }
  [[nodiscard]] const PhysicalMemory& physical() const { return *physical_; }
  [[nodiscard]] const std::shared_ptr<const GuestMemory>& memory() const { return memory_; }
  [[nodiscard]] std::span<std::byte> bytes() {
    return std::as_writable_bytes(std::span(words_.data(), words_.size()));
  }

 private:
  std::vector<std::uint64_t> words_;
  std::uint64_t next_ = 1;
  std::shared_ptr<const GuestMemory> memory_;
  std::shared_ptr<const PhysicalMemory> physical_;
};

}  // namespace weir::pagetables::facts
