// SPDX-License-Identifier: Apache-2.0
#include "tests/model/amd_v1_model.h"

#include <optional>

namespace weir::model {
namespace {

constexpr std::uint64_t kPresent = bit(0);
constexpr std::uint64_t kAccessed = bit(5);
constexpr std::uint64_t kDirty = bit(6);
constexpr std::uint64_t kMayRead = bit(61);
constexpr std::uint64_t kMayWrite = bit(62);

unsigned next_level(std::uint64_t entry) { return static_cast<unsigned>(entry >> 9) % 8; }

bool is_leaf(std::uint64_t entry) { return next_level(entry) == 0 || next_level(entry) == 7; }

// X5: PTE [58:52], PDE [60:52].
std::uint64_t reserved(const AmdV1& tables, std::uint64_t entry) {
  if (!is_leaf(entry)) return bits(60, 52);
  return tables.memory_class ? bits(56, 52) : bits(58, 52);
}

// The leaf's size; nothing where the level cannot hold it (settled 3, "NextLevel 0/7").
std::optional<unsigned> leaf_lg2(std::uint64_t entry, unsigned level) {
  if (level == 6) return std::nullopt;
  if (next_level(entry) == 0) return level_lg2(level);
  unsigned lowest_zero = 12;
  while (lowest_zero < 52 && has(entry, bit(lowest_zero))) ++lowest_zero;
  const unsigned lg2 = lowest_zero + 1;
  if (lg2 > 51 || lg2 <= level_lg2(level) || lg2 >= level_lg2(level + 1)) return std::nullopt;
  return lg2;
}

std::optional<FaultReason> missing(const Ask& ask, bool may_read, bool may_write) {
  if ((ask.read || ask.execute) && !may_read) return FaultReason::kNoReadPermission;
  if (ask.write && !may_write) return FaultReason::kNoWritePermission;
  return std::nullopt;
}

}  // namespace

Verdict walk(const AmdV1& tables, const Ask& ask, TableReader& reader) {
  Walk w;
  if (const auto reason = missing(ask, ask.device_read, ask.device_write))
    return w.stop(0, 0, *reason, Detail::kDeviceRights);
  if (!fits(ask.input, level_lg2(tables.mode + 1)))
    return w.stop(0, 0, FaultReason::kBeyondInputWidth);

  std::uint64_t table = tables.root;
  unsigned level = tables.mode;
  for (;;) {
    const std::uint64_t at = entry_address(table, ask.input, level);
    const auto found = reader.read(at, level);
    if (!found) {
      return w.stop(
          level, at,
          level == tables.mode ? FaultReason::kRootTableUnreadable : FaultReason::kTableUnreadable);
    }
    const std::uint64_t entry = *found;
    ++w.verdict.references;

    if (!has(entry, kPresent)) return w.stop(level, at, FaultReason::kNotPresent);
    if (has(entry, reserved(tables, entry))) return w.stop(level, at, FaultReason::kReservedBits);
    if (const auto reason = missing(ask, has(entry, kMayRead), has(entry, kMayWrite)))
      return w.stop(level, at, *reason);
    w.verdict.readable = w.verdict.readable && has(entry, kMayRead);
    w.verdict.writable = w.verdict.writable && has(entry, kMayWrite);

    std::uint64_t marked = entry;
    if (tables.set_accessed) marked |= kAccessed;
    if (tables.set_dirty && is_leaf(entry) && ask.write) marked |= kDirty;
    w.change(at, entry, marked, level);

    if (is_leaf(entry)) {
      const auto lg2 = leaf_lg2(entry, level);
      if (!lg2) return w.stop(level, at, FaultReason::kReservedBits, Detail::kLevelEncoding);
      return w.land(entry & bits(51, *lg2), ask.input, *lg2);
    }
    const unsigned next = next_level(entry);
    if (next >= level) return w.stop(level, at, FaultReason::kReservedBits, Detail::kLevelEncoding);
    // A7: every bit that a skipped level would have decided must be zero.
    if (has(ask.input, bits(level_lg2(level) - 1, level_lg2(next + 1))))
      return w.stop(level, at, FaultReason::kBeyondInputWidth, Detail::kSkippedBits);
    table = entry & bits(51, 12);
    level = next;
  }
}

}  // namespace weir::model
