// SPDX-License-Identifier: Apache-2.0
//
// The register file: plain words, and the access rules of registers.h applied to reads and writes
// of 4 and 8 bytes. It knows bits, not behaviour: a write answers with the register it touched, and
// whoever called acts on it. Copying it is a snapshot of every register.
//
// Not thread-safe: the unit's lock is held by every caller.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "vendors/amdvi/options.h"
#include "vendors/amdvi/registers.h"

namespace weir::amdvi {

class RegisterFile {
 public:
  static constexpr std::uint64_t kBytes = 0x4000;  // of MMIO space, while EFR.PCSup is 0

  // Power-on state.
  explicit RegisterFile(const Options& options);

  // A guest's access. `size` is 4 or 8 and `offset` a multiple of it, below kBytes.
  [[nodiscard]] std::uint64_t read(std::uint64_t offset, unsigned size) const;
  void write(std::uint64_t offset, unsigned size, std::uint64_t value);
  // The register that such an access reaches, if there is one and its feature is there.
  [[nodiscard]] const reg::Register* find(std::uint64_t offset) const;

  // The unit's own accesses, without rules.
  [[nodiscard]] std::uint64_t get(const reg::Register& r) const { return words_[index_of(r)]; }
  void set(const reg::Register& r, std::uint64_t value) { words_[index_of(r)] = value; }
  void set_bits(const reg::Register& r, std::uint64_t bits) { set(r, get(r) | bits); }
  void clear_bits(const reg::Register& r, std::uint64_t bits) { set(r, get(r) & ~bits); }

 private:
  [[nodiscard]] static std::size_t index_of(const reg::Register& r);

  std::array<std::uint64_t, reg::kRegisters.size()> words_{};
  std::uint64_t features_ = 0;
  std::uint64_t control_bits_ = 0;
};

}  // namespace weir::amdvi
