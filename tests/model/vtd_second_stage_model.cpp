// SPDX-License-Identifier: Apache-2.0
#include "tests/model/vtd_second_stage_model.h"

#include <algorithm>

namespace weir::model {
namespace {

constexpr std::uint64_t kRead = bit(0);
constexpr std::uint64_t kWrite = bit(1);
constexpr std::uint64_t kPageSizeBit = bit(7);
constexpr std::uint64_t kAccessed = bit(8);
constexpr std::uint64_t kDirty = bit(9);
constexpr std::uint64_t kSnoop = bit(11);
constexpr std::uint64_t kTransient = bit(62);

// PS names a leaf at levels 2 and 3; at level 1 it is ignored, at levels 4 and 5 reserved (VT-d 3,
// "super pages").
bool is_large(std::uint64_t entry, unsigned level) {
  return (level == 2 || level == 3) && has(entry, kPageSizeBit);
}

std::uint64_t reserved(const VtdSecondStage& tables, std::uint64_t entry, unsigned level) {
  const bool leaf = level == 1 || is_large(entry, level);
  std::uint64_t mask = bits(51, tables.host_width);
  if (!leaf || !tables.snoop_control) mask |= kSnoop;
  if (!leaf || !tables.transient_leaf) mask |= kTransient;
  if (level >= 4) mask |= kPageSizeBit;
  if (leaf && level == 2) mask |= bits(20, 12);
  if (leaf && level == 3) mask |= bits(29, 12);
  return mask;
}

}  // namespace

Verdict walk(const VtdSecondStage& tables, const Ask& ask, TableReader& reader) {
  Walk w;
  // LGN.1, SGN.5: before any entry is read (settled 2, "Legacy order"; X3).
  const unsigned reach = std::min(tables.guest_width, level_lg2(tables.levels + 1));
  if (!fits(ask.input, reach)) return w.stop(0, 0, FaultReason::kBeyondInputWidth);

  std::uint64_t table = tables.root;
  for (unsigned level = tables.levels;; --level) {
    const std::uint64_t at = entry_address(table, ask.input, level);

    // Settled 2, "Permission vs reserved in SS walk": read error, rights, reserved bits, size.
    const auto found = reader.read(at, level);
    if (!found) {
      return w.stop(level, at,
                    level == tables.levels ? FaultReason::kRootTableUnreadable
                                           : FaultReason::kTableUnreadable);
    }
    const std::uint64_t entry = *found;
    ++w.verdict.references;

    if ((ask.read || ask.execute) && !has(entry, kRead))
      return w.stop(level, at, FaultReason::kNoReadPermission);
    if (ask.write && !has(entry, kWrite)) return w.stop(level, at, FaultReason::kNoWritePermission);
    w.verdict.readable = w.verdict.readable && has(entry, kRead);
    w.verdict.writable = w.verdict.writable && has(entry, kWrite);

    if (has(entry, reserved(tables, entry, level)))
      return w.stop(level, at, FaultReason::kReservedBits);
    if (is_large(entry, level) && !(level == 2 ? tables.pages_2m : tables.pages_1g))
      return w.stop(level, at, FaultReason::kReservedBits, Detail::kPageSize);

    const bool leaf = level == 1 || is_large(entry, level);
    if (tables.accessed_dirty) {
      const std::uint64_t dirty = leaf && ask.write ? kDirty : 0;
      w.change(at, entry, entry | kAccessed | dirty, level);
    }
    if (leaf) return w.land(entry & bits(51, level_lg2(level)), ask.input, level_lg2(level));
    table = entry & bits(51, 12);
  }
}

}  // namespace weir::model
