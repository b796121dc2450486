// SPDX-License-Identifier: Apache-2.0
#include "tests/compare/broken_format.h"
#include "tests/compare/mutants.h"

namespace weir::compare {
namespace {

namespace fs = pagetables::fs;
using Fs = pagetables::X86FirstStage;
using Rules = Fs::Rules;
using pagetables::Step;

// On VT-d's flavour, which is always sign-extended, as this format is.
template <typename Format>
Mutant broken(std::string_view name) {
  return {.name = name,
          .upper = model::FormatKind::kVtdFirstStage,
          .lower = std::nullopt,
          .subject = walk_one<Format>};
}

}  // namespace

std::vector<Mutant> x86_first_stage_mutants() {
  return {
      broken<WithEntry<Fs, [](std::uint64_t entry, unsigned) { return entry | fs::kUser.kMask; }>>(
          "fs_user_bit_ignored"),
      broken<WithEntry<Fs,
                       [](std::uint64_t entry, unsigned level) {
                         return level == 1 ? entry : entry | fs::kUser.kMask;
                       }>>("fs_user_bit_judged_in_the_last_level_only"),
      broken<WithEntry<Fs, [](std::uint64_t entry,
                              unsigned) { return entry & ~std::uint64_t{fs::kNoExecute.kMask}; }>>(
          "fs_execute_disable_ignored"),
      broken<WithEntry<Fs,
                       [](std::uint64_t entry, unsigned level) {
                         return level == 3 ? entry | fs::kWrite.kMask : entry;
                       }>>("fs_write_permission_dropped_at_level_3"),
      broken<
          WithEntry<Fs, [](std::uint64_t entry, unsigned) { return entry | fs::kPresent.kMask; }>>(
          "fs_present_bit_ignored"),
      broken<WithAsk<Fs, [](Ask& ask) { ask.write_protect = true; }>>("fs_wpe_taken_for_set"),
      broken<WithAsk<Fs, [](Ask& ask) { ask.write_protect = false; }>>("fs_wpe_taken_for_clear"),
      broken<WithAsk<Fs, [](Ask& ask) { ask.privileged = false; }>>("fs_privilege_ignored"),
      broken<WithAsk<Fs, [](Ask& ask) { ask.execute = false; }>>("fs_execute_not_asked_for"),
      broken<WithRules<Fs, [](Rules& rules, unsigned) { rules.reserved_first = true; }>>(
          "fs_reserved_bits_before_permission"),
      broken<WithRules<Fs,
                       [](Rules& rules, unsigned level) {
                         rules.table_reserved[level] &= ~bit_mask(51, 30);
                         rules.leaf_reserved[level] &= ~bit_mask(51, 30);
                       }>>("fs_host_address_width_ignored"),
      broken<WithRules<Fs,
                       [](Rules& rules, unsigned level) {
                         if (level >= 2) rules.leaf_reserved[level] |= fs::kLargePat.kMask;
                       }>>("fs_pat_of_large_pages_refused"),
      broken<
          WithRules<Fs, [](Rules& rules,
                           unsigned level) { rules.table_reserved[level] |= fs::kGlobal.kMask; }>>(
          "fs_global_refused_in_tables"),
      broken<WithRules<Fs, [](Rules& rules, unsigned) { rules.leaf_size[3] = true; }>>(
          "fs_1g_pages_without_the_capability"),
      broken<WithRules<Fs,
                       [](Rules& rules, unsigned) {
                         rules.accessed &= ~std::uint64_t{fs::kExtendedAccessed.kMask};
                       }>>("fs_extended_accessed_forgotten"),
      broken<WithRules<Fs, [](Rules& rules, unsigned) { rules.accessed = 0; }>>(
          "fs_accessed_not_set"),
      broken<WithStep<Fs,
                      [](Step& step, std::uint64_t entry, unsigned) {
                        // "Something is set already" taken for "all is set".
                        if (fs::kAccessed.is_set(entry)) step.set_on_write = 0;
                      }>>("fs_dirty_lost_where_accessed_is_set"),
      broken<WithStep<Fs,
                      [](Step& step, std::uint64_t entry, unsigned level) {
                        if (level >= 2) step.address |= entry & fs::kLargePat.kMask;
                      }>>("fs_pat_taken_for_an_address_bit"),
      broken<
          WithInput<Fs, [](std::uint64_t input, unsigned) { return Fs::refuse_input(input, 4); }>>(
          "fs_canonical_to_48_bits_whatever_the_levels"),
      broken<WithInput<Fs,
                       [](std::uint64_t input, unsigned levels) {
                         return Fs::refuse_input(input, levels)
                                    ? std::optional(FaultReason::kBeyondInputWidth)
                                    : std::nullopt;
                       }>>("fs_non_canonical_called_beyond_the_width"),
      // For PASID 0 under GIOV too.
      {.name = "v2_always_sign_extended",
       .upper = model::FormatKind::kAmdV2,
       .lower = std::nullopt,
       .subject = walk_one<Fs>},
  };
}

}  // namespace weir::compare
