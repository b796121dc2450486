// SPDX-License-Identifier: Apache-2.0
#include "tests/compare/broken_format.h"
#include "tests/compare/mutants.h"

namespace weir::compare {
namespace {

namespace v1 = pagetables::v1;
using V1 = pagetables::AmdV1;
using Rules = V1::Rules;
using pagetables::Step;

bool has_encoded_size(std::uint64_t entry) {
  return v1::kNextLevel.get(entry) == v1::kLeafOfEncodedSize;
}

// The walk itself checks them, for every format; so this asks again without what it minded.
Observed skipped_bits_unchecked(const model::World& world, const pagetables::PhysicalMemory& memory,
                                const model::Ask& ask) {
  model::Ask unminded = ask;
  for (;;) {
    const Observed o = walk_one<V1>(world, memory, unminded);
    if (o.ok || o.reason != FaultReason::kSkippedBits) return o;
    unminded.input &= ~bit_mask(pagetables::level_shift<V1>(o.level) - 1, kPageLg2);
  }
}

Mutant broken(std::string_view name, Subject subject) {
  return {
      .name = name, .upper = model::FormatKind::kAmdV1, .lower = std::nullopt, .subject = subject};
}
template <typename Format>
Mutant broken(std::string_view name) {
  return broken(name, walk_one<Format>);
}

}  // namespace

std::vector<Mutant> amd_v1_mutants() {
  return {
      broken("v1_skipped_levels_not_zero_checked", skipped_bits_unchecked),
      broken<WithStep<V1,
                      [](Step& step, std::uint64_t, unsigned) {
                        if (step.next_level >= 2) --step.next_level;
                      }>>("v1_next_level_off_by_one"),
      broken<WithStep<V1,
                      [](Step& step, std::uint64_t entry, unsigned) {
                        if (has_encoded_size(entry)) ++step.page_lg2;
                      }>>("v1_encoded_size_off_by_one"),
      broken<WithStep<V1,
                      [](Step& step, std::uint64_t entry, unsigned level) {
                        // The size of the next level's own pages, at this one.
                        if (step.reason != FaultReason::kLevelEncoding ||
                            !has_encoded_size(entry) || level >= 5)
                          return;
                        const unsigned lg2 = pagetables::level_shift<V1>(level + 1);
                        const std::uint64_t code = bit_mask(lg2 - 2, kPageLg2);
                        if ((entry & bit_mask(lg2 - 1, kPageLg2)) != code) return;
                        step.kind = Step::Kind::kLeaf;
                        step.page_lg2 = static_cast<std::uint8_t>(lg2);
                        step.address = v1::kAddress.in_place(entry) & ~bit_mask(lg2 - 1, 0);
                      }>>("v1_encoded_size_of_the_next_level_accepted"),
      broken<WithStep<V1, [](Step& step, std::uint64_t entry,
                             unsigned) { step.address = v1::kAddress.in_place(entry); }>>(
          "v1_size_code_left_in_the_address"),
      broken<WithStep<V1,
                      [](Step& step, std::uint64_t entry, unsigned) {
                        // A table at or above its own level is one below it.
                        if (step.reason != FaultReason::kLevelEncoding || has_encoded_size(entry))
                          return;
                        step.kind = Step::Kind::kTable;
                        step.next_level = 1;
                        step.address = v1::kAddress.in_place(entry);
                      }>>("v1_impossible_level_taken_for_the_last"),
      broken<WithEntry<V1, [](std::uint64_t entry, unsigned) { return entry | v1::kRead.kMask; }>>(
          "v1_read_permission_ignored"),
      broken<WithEntry<V1,
                       [](std::uint64_t entry, unsigned level) {
                         return level == 2 ? entry | v1::kWrite.kMask : entry;
                       }>>("v1_write_permission_dropped_at_level_2"),
      broken<
          WithEntry<V1, [](std::uint64_t entry, unsigned) { return entry | v1::kPresent.kMask; }>>(
          "v1_present_bit_ignored"),
      broken<WithRules<V1,
                       [](Rules& rules, unsigned) { rules.table_reserved = rules.leaf_reserved; }>>(
          "v1_tables_with_the_reserved_bits_of_leaves"),
      broken<WithRules<V1, [](Rules& rules, unsigned) { rules.leaf_reserved = 0; }>>(
          "v1_reserved_bits_of_leaves_unchecked"),
      broken<WithRules<V1, [](Rules& rules,
                              unsigned) { rules.leaf_reserved |= v1::kMemoryClass.kMask; }>>(
          "v1_memory_class_always_refused"),
      broken<WithStep<V1,
                      [](Step& step, std::uint64_t, unsigned) {
                        if (step.kind == Step::Kind::kTable) step.set_on_use = 0;
                      }>>("v1_accessed_not_set_in_tables"),
      broken<WithStep<V1,
                      [](Step& step, std::uint64_t, unsigned) {
                        if (step.kind == Step::Kind::kTable) step.permissions = Permissions::all();
                      }>>("v1_permissions_of_the_leaf_only"),
      broken<WithStep<V1,
                      [](Step& step, std::uint64_t entry, unsigned) {
                        // Permission before reserved bits, as on VT-d.
                        if (step.reason == FaultReason::kReservedBits && !v1::kRead.is_set(entry))
                          step.reason = FaultReason::kNoReadPermission;
                      }>>("v1_permission_before_reserved_bits"),
      broken<WithInput<
          V1, [](std::uint64_t, unsigned) -> std::optional<FaultReason> { return std::nullopt; }>>(
          "v1_input_beyond_reach_unchecked"),
  };
}

}  // namespace weir::compare
