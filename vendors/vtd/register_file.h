// SPDX-License-Identifier: Apache-2.0
//
// The register file: plain words, and the access rules of registers.h applied to reads and writes
// of 4 and 8 bytes. It knows bits, not behaviour: a write answers with what it touched, and whoever
// called acts on it. Copying it is a snapshot of every register.
//
// Not thread-safe: the unit's lock is held by every caller.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "vendors/vtd/capabilities.h"
#include "vendors/vtd/registers.h"
#include "vendors/vtd/unit.h"

namespace weir::vtd {

// The bits of one register that a write carried.
struct Touched {
  std::uint64_t mask = 0;
  std::uint64_t value = 0;  // as written; bits outside the mask are 0
};

class RegisterFile {
 public:
  // Power-on state.
  explicit RegisterFile(const Options& options);

  // A guest's access. `size` is 4 or 8 and `offset` a multiple of it, below Unit::kRegisterBytes.
  [[nodiscard]] std::uint64_t read(std::uint64_t offset, unsigned size) const;
  void write(std::uint64_t offset, unsigned size, std::uint64_t value);
  // Which of a register's bits such a write carries.
  [[nodiscard]] static std::optional<Touched> touched(const reg::Register& r, std::uint64_t offset,
                                                      unsigned size, std::uint64_t value);

  // The unit's own accesses, without rules.
  [[nodiscard]] std::uint64_t get(const reg::Register& r) const;
  void set(const reg::Register& r, std::uint64_t value);
  void set_bits(const reg::Register& r, std::uint64_t bits) { set(r, get(r) | bits); }
  void clear_bits(const reg::Register& r, std::uint64_t bits) { set(r, get(r) & ~bits); }

  // Fault-recording registers, by index.
  [[nodiscard]] unsigned record_count() const { return records_; }
  [[nodiscard]] std::uint64_t record_low(unsigned index) const {
    return words_[record_word(index)];
  }
  [[nodiscard]] std::uint64_t record_high(unsigned index) const {
    return words_[record_word(index) + 1];
  }
  // F is in the high word, so it is set last.
  void set_record(unsigned index, std::uint64_t low, std::uint64_t high) {
    words_[record_word(index)] = low;
    words_[record_word(index) + 1] = high;
  }
  [[nodiscard]] bool touches_records(std::uint64_t offset) const {
    return offset >= reg::frcd::kOffset &&
           offset < reg::frcd::kOffset + records_ * reg::frcd::kBytes;
  }

 private:
  static constexpr std::uint64_t kWordBytes = 8;
  [[nodiscard]] static constexpr std::size_t record_word(unsigned index) {
    return (reg::frcd::kOffset + index * reg::frcd::kBytes) / kWordBytes;
  }
  // What software may do with one 64-bit word of the file.
  struct Rule {
    std::uint64_t writable = 0;
    std::uint64_t clear_on_one = 0;
    std::uint64_t write_only = 0;
  };
  static constexpr std::size_t kFixedWords = reg::frcd::kOffset / kWordBytes;
  [[nodiscard]] static constexpr std::array<Rule, kFixedWords> fold_rules();
  [[nodiscard]] Rule rule_at(std::size_t word) const;
  // Takes from software what belongs to a feature that the unit does not have.
  void forbid(const reg::Register& r, std::uint64_t bits);

  std::array<Rule, kFixedWords> rules_;
  std::array<std::uint64_t, Unit::kRegisterBytes / kWordBytes> words_{};
  unsigned records_;
};

}  // namespace weir::vtd
