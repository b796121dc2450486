// SPDX-License-Identifier: Apache-2.0
#include "tests/model/x86_first_stage_model.h"

#include <optional>

namespace weir::model {
namespace {

constexpr std::uint64_t kPresent = bit(0);
constexpr std::uint64_t kReadWrite = bit(1);
constexpr std::uint64_t kUser = bit(2);
constexpr std::uint64_t kAccessed = bit(5);
constexpr std::uint64_t kDirty = bit(6);
constexpr std::uint64_t kPageSizeBit = bit(7);
constexpr std::uint64_t kExtendedAccessed = bit(10);
constexpr std::uint64_t kExecuteDisable = bit(63);

bool is_large(std::uint64_t entry, unsigned level) {
  return (level == 2 || level == 3) && has(entry, kPageSizeBit);
}

struct Wrong {
  FaultReason reason;
  Detail detail = Detail::kNone;
};

// Settled 2, "Canonical check": bits 63:N equal bit N-1, N = 48 or 57, before the walk.
std::optional<Wrong> check_address(const X86FirstStage& tables, std::uint64_t input) {
  const unsigned width = level_lg2(tables.levels + 1);
  if (!tables.sign_extended) {
    if (!fits(input, width)) return Wrong{FaultReason::kBeyondInputWidth};
    return std::nullopt;
  }
  const std::uint64_t upper = bits(63, width - 1);
  if ((input & upper) != 0 && (input & upper) != upper)
    return Wrong{FaultReason::kBeyondInputWidth, Detail::kNonCanonical};
  return std::nullopt;
}

std::optional<Wrong> check_rights(const X86FirstStage& tables, const Ask& ask,
                                  std::uint64_t entry) {
  const auto denied = ask.write ? FaultReason::kNoWritePermission : FaultReason::kNoReadPermission;
  if (!ask.privileged && !has(entry, kUser)) return Wrong{denied, Detail::kUserOfSupervisor};
  const bool obeys_rw = !ask.privileged || tables.write_protect;
  if (ask.write && obeys_rw && !has(entry, kReadWrite))
    return Wrong{FaultReason::kNoWritePermission};
  if (ask.execute && tables.no_execute && has(entry, kExecuteDisable))
    return Wrong{FaultReason::kNoReadPermission, Detail::kNoExecute};
  return std::nullopt;
}

std::optional<Wrong> check_reserved(const X86FirstStage& tables, std::uint64_t entry,
                                    unsigned level) {
  std::uint64_t mask = bits(51, tables.host_width);
  if (level >= 4) mask |= kPageSizeBit;
  if (is_large(entry, level)) mask |= bits(level_lg2(level) - 1, 13);
  if (has(entry, mask)) return Wrong{FaultReason::kReservedBits};
  if (level == 3 && is_large(entry, level) && !tables.pages_1g)
    return Wrong{FaultReason::kReservedBits, Detail::kPageSize};
  return std::nullopt;
}

}  // namespace

Verdict walk(const X86FirstStage& tables, const Ask& ask, TableReader& reader) {
  Walk w;
  // VT-d 4: 5Ch, 5Dh, before the tables.
  if (ask.execute && !tables.execute_requests)
    return w.stop(0, 0, FaultReason::kRequestTypeBlocked, Detail::kExecuteRefused);
  if (ask.privileged && !tables.supervisor)
    return w.stop(0, 0, FaultReason::kRequestTypeBlocked, Detail::kSupervisorRefused);
  if (const auto wrong = check_address(tables, ask.input))
    return w.stop(0, 0, wrong->reason, wrong->detail);

  std::uint64_t table = tables.root;
  for (unsigned level = tables.levels;; --level) {
    const std::uint64_t at = entry_address(table, ask.input, level);
    const auto found = reader.read(at, level);
    if (!found) {
      return w.stop(level, at,
                    level == tables.levels ? FaultReason::kRootTableUnreadable
                                           : FaultReason::kTableUnreadable);
    }
    const std::uint64_t entry = *found;
    ++w.verdict.references;
    const bool leaf = level == 1 || is_large(entry, level);

    if (!has(entry, kPresent)) return w.stop(level, at, FaultReason::kNotPresent);

    auto rights = check_rights(tables, ask, entry);
    w.verdict.writable = w.verdict.writable && has(entry, kReadWrite);
    w.verdict.user = w.verdict.user && has(entry, kUser);
    w.verdict.executable = w.verdict.executable && !has(entry, kExecuteDisable);
    if (!rights && leaf && tables.smep && ask.execute && ask.privileged && w.verdict.user)
      rights = Wrong{FaultReason::kNoReadPermission, Detail::kSupervisorExecutesUser};
    const auto reserved = check_reserved(tables, entry, level);

    const bool rights_first = tables.vendor == X86FirstStage::Vendor::kVtd;
    const auto first = rights_first ? rights : reserved;
    const auto second = rights_first ? reserved : rights;
    if (first) return w.stop(level, at, first->reason, first->detail);
    if (second) return w.stop(level, at, second->reason, second->detail);

    // VT-d 3, "FS A/D bits" and "EA flag"; A8.
    std::uint64_t marked = entry;
    if (tables.set_accessed) marked |= kAccessed;
    if (tables.set_dirty && leaf && ask.write) marked |= kDirty;
    if (tables.extended_accessed) marked |= kExtendedAccessed;
    w.change(at, entry, marked, level);

    if (leaf) return w.land(entry & bits(51, level_lg2(level)), ask.input, level_lg2(level));
    table = entry & bits(51, 12);
  }
}

}  // namespace weir::model
