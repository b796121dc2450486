// SPDX-License-Identifier: Apache-2.0
//
// The RAM of a machine under test: gigabytes of it, of which a case touches a few pages. Pages
// exist once they are touched and are given back by clear(), which is therefore cheap.
//
// For one thread, but for the bytes themselves. Everything taken from memory() must be gone before
// the GuestRam is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/guest_memory.h"
#include "base/result.h"

namespace weir::verify {

class GuestRam {
 public:
  // Page-aligned, disjoint ranges; refused in one sentence, as when the host cannot reserve them.
  [[nodiscard]] static Result<GuestRam, std::string> create(
      const std::vector<AddressRange<Gpa>>& ranges);

  GuestRam(GuestRam&& other) noexcept;
  GuestRam& operator=(GuestRam&& other) noexcept = delete;
  ~GuestRam();

  [[nodiscard]] std::shared_ptr<const GuestMemory> memory() const { return memory_; }
  // All bytes zero again.
  void clear();

  [[nodiscard]] bool holds(Gpa at, std::uint64_t size) const;
  // REQUIRES: holds(at, size).
  void read(Gpa at, std::span<std::byte> to) const;
  void write(Gpa at, std::span<const std::byte> from);
  // REQUIRES: holds(at, 8), `at` a multiple of 8.
  void store64(Gpa at, std::uint64_t value);
  [[nodiscard]] std::uint64_t load64(Gpa at) const;

 private:
  GuestRam() = default;

  std::vector<std::span<std::byte>> mappings_;  // constant after creation
  std::shared_ptr<const GuestMemory> memory_;   // constant after creation
};

}  // namespace weir::verify
