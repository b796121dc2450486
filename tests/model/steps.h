// SPDX-License-Identifier: Apache-2.0
//
// What the models of the formats share: bit arithmetic, how a walk gets an entry, and how it says
// that it stopped. Private to tests/model/.
#pragma once

#include <cstdint>
#include <optional>

#include "tests/model/model.h"

namespace weir::model {

[[nodiscard]] constexpr std::uint64_t bit(unsigned n) { return std::uint64_t{1} << n; }

// Bits high…low, both included; none when high < low. Neither is above 63.
[[nodiscard]] constexpr std::uint64_t bits(unsigned high, unsigned low) {
  if (high < low) return 0;
  const unsigned count = high - low + 1;
  return (count == 64 ? ~std::uint64_t{0} : bit(count) - 1) << low;
}

[[nodiscard]] constexpr bool has(std::uint64_t word, std::uint64_t mask) {
  return (word & mask) != 0;
}

// Every format: 512 entries of 8 bytes a table, so level n decides nine bits from 12 + 9(n-1) up.
[[nodiscard]] constexpr unsigned level_lg2(unsigned level) { return 12 + 9 * (level - 1); }

[[nodiscard]] constexpr std::uint64_t entry_address(std::uint64_t table, std::uint64_t input,
                                                    unsigned level) {
  return table + 8 * ((input >> level_lg2(level)) % 512);
}

// All bits of `input` from `width` up are zero.
[[nodiscard]] constexpr bool fits(std::uint64_t input, unsigned width) {
  return width >= 64 || (input >> width) == 0;
}

// Where a walk's entries come from: the image, or the stage below.
class TableReader {
 public:
  virtual ~TableReader() = default;
  [[nodiscard]] virtual std::optional<std::uint64_t> read(std::uint64_t at, unsigned level) = 0;
};

// A walk under way: what the format functions add to as they go down. `stage` stays open: whoever
// calls the format knows which one it is.
struct Walk {
  Verdict verdict;

  Walk() {
    verdict.readable = true;
    verdict.writable = true;
    verdict.executable = true;
    verdict.user = true;
  }

  [[nodiscard]] Verdict stop(unsigned level, std::uint64_t entry_at, FaultReason reason,
                             Detail detail = Detail::kNone) const {
    Verdict v;
    v.references = verdict.references;
    v.level = level;
    v.entry_at = entry_at;
    v.reason = reason;
    v.detail = detail;
    return v;
  }

  void change(std::uint64_t at, std::uint64_t from, std::uint64_t to, unsigned level) {
    if (from == to) return;
    verdict.updates.push_back({.at = at, .value = to, .level = level, .entry_at = at});
  }

  [[nodiscard]] Verdict land(std::uint64_t page, std::uint64_t input, unsigned lg2) {
    verdict.ok = true;
    verdict.page_lg2 = lg2;
    verdict.output = page | (input & (bit(lg2) - 1));
    return verdict;
  }
};

}  // namespace weir::model
