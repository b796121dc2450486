// SPDX-License-Identifier: Apache-2.0
#include "tests/compare/broken_format.h"
#include "tests/compare/mutants.h"

namespace weir::compare {
namespace {

namespace ss = pagetables::ss;
using Ss = pagetables::VtdSecondStage;
using Rules = Ss::Rules;
using pagetables::Step;

void clear_reserved(Rules& rules, unsigned level, std::uint64_t bits) {
  rules.table_reserved[level] &= ~bits;
  rules.leaf_reserved[level] &= ~bits;
}

template <typename Format>
Mutant broken(std::string_view name) {
  return {.name = name,
          .upper = model::FormatKind::kVtdSecondStage,
          .lower = std::nullopt,
          .subject = walk_one<Format>};
}

}  // namespace

std::vector<Mutant> vtd_second_stage_mutants() {
  return {
      broken<WithEntry<Ss,
                       [](std::uint64_t entry, unsigned level) {
                         return level == 2 ? entry | ss::kWrite.kMask : entry;
                       }>>("ss_write_permission_dropped_at_level_2"),
      broken<WithEntry<Ss,
                       [](std::uint64_t entry, unsigned level) {
                         return level >= 2 ? entry | ss::kRead.kMask : entry;
                       }>>("ss_read_permission_judged_in_the_last_level_only"),
      broken<WithRules<Ss, [](Rules& rules,
                              unsigned level) { clear_reserved(rules, level, bit_mask(51, 30)); }>>(
          "ss_host_address_width_ignored"),
      broken<WithRules<Ss,
                       [](Rules& rules, unsigned level) {
                         if (level == 4)
                           rules.table_reserved[level] &= ~std::uint64_t{ss::kPageSize.kMask};
                       }>>("ss_page_size_bit_accepted_at_level_4"),
      broken<WithRules<Ss,
                       [](Rules& rules, unsigned level) {
                         rules.leaf_reserved[level] &= ~std::uint64_t{ss::kSnoop.kMask};
                       }>>("ss_snoop_always_accepted_in_leaves"),
      broken<WithRules<Ss,
                       [](Rules& rules, unsigned level) {
                         rules.table_reserved[level] &= ~std::uint64_t{ss::kSnoop.kMask};
                       }>>("ss_snoop_accepted_in_tables"),
      broken<WithRules<Ss,
                       [](Rules& rules, unsigned level) {
                         clear_reserved(rules, level, ss::kTransientMapping.kMask);
                       }>>("ss_transient_mapping_accepted"),
      broken<
          WithRules<Ss, [](Rules& rules,
                           unsigned level) { rules.leaf_reserved[level] &= ~bit_mask(29, 12); }>>(
          "ss_low_address_bits_of_large_pages_accepted"),
      broken<WithRules<Ss, [](Rules& rules, unsigned) { rules.leaf_size[3] = true; }>>(
          "ss_1g_pages_without_the_capability"),
      broken<WithStep<Ss,
                      [](Step& step, std::uint64_t, unsigned level) {
                        if (level == 2) step.page_lg2 = 20;
                      }>>("ss_2m_page_taken_for_1m"),
      broken<WithStep<Ss, [](Step& step, std::uint64_t, unsigned) { step.set_on_use = 0; }>>(
          "ss_accessed_not_set"),
      broken<WithStep<Ss,
                      [](Step& step, std::uint64_t, unsigned level) {
                        if (level >= 2) step.set_on_use = 0;
                      }>>("ss_accessed_set_in_the_last_level_only"),
      broken<WithStep<Ss, [](Step& step, std::uint64_t, unsigned) { step.set_on_write = 0; }>>(
          "ss_dirty_not_set"),
      broken<WithStep<Ss, [](Step& step, std::uint64_t,
                             unsigned) { step.set_on_use |= step.set_on_write; }>>(
          "ss_dirty_set_by_a_read"),
      broken<WithStep<Ss,
                      [](Step& step, std::uint64_t entry, unsigned) {
                        // Reserved bits win over a missing permission at the same entry.
                        if (step.kind == Step::Kind::kStop && ss::kTransientMapping.is_set(entry))
                          step.reason = FaultReason::kReservedBits;
                      }>>("ss_reserved_bits_before_permission"),
      broken<WithStep<Ss,
                      [](Step& step, std::uint64_t, unsigned level) {
                        if (level >= 2) step.permissions = Permissions::all();
                      }>>("ss_permissions_not_anded_over_levels"),
      broken<WithInput<
          Ss, [](std::uint64_t, unsigned) -> std::optional<FaultReason> { return std::nullopt; }>>(
          "ss_input_beyond_reach_unchecked"),
      broken<WithInput<Ss, [](std::uint64_t input,
                              unsigned levels) { return Ss::refuse_input(input, levels + 1); }>>(
          "ss_reach_of_a_level_too_many"),
  };
}

}  // namespace weir::compare
