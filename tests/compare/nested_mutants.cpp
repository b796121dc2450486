// SPDX-License-Identifier: Apache-2.0
#include "tests/compare/broken_nested.h"
#include "tests/compare/mutants.h"

namespace weir::compare {
namespace {

using model::FormatKind;
using pagetables::AmdV1;
using pagetables::VtdSecondStage;
using pagetables::X86FirstStage;

struct TablesNotTranslated : Joints {
  static constexpr bool kTablesTranslated = false;
};
struct TablesReadAsWrites : Joints {
  static constexpr Access kTableAccess = Access::kReadWrite;
};
struct UpdatesNotTranslated : Joints {
  static constexpr bool kUpdatesTranslated = false;
};
struct UpdatesAsReads : Joints {
  static constexpr Access kUpdateAccess = Access::kRead;
};
struct PlainStores : Joints {
  static constexpr bool kCompareExchange = false;
};
struct UpdatesBeforeTheOutput : Joints {
  static constexpr bool kUpdatesAfterOutput = false;
};
struct LowerStageLost : Joints {
  static constexpr bool kLowerStageNamed = false;
};
struct LowerReferencesLost : Joints {
  static constexpr bool kLowerReferencesCounted = false;
};
struct OutputNotTranslated : Joints {
  static constexpr bool kOutputTranslated = false;
};
struct OutputAsRead : Joints {
  static constexpr bool kOutputAccessAsAsked = false;
};
struct PrivilegePassedDown : Joints {
  static constexpr bool kPrivilegePassedDown = true;
};
struct PageOfTheUpper : Joints {
  static constexpr bool kPageOfBoth = false;
};
struct PermissionsOfTheUpper : Joints {
  static constexpr bool kPermissionsOfBoth = false;
};
struct CacheableOfTheUpper : Joints {
  static constexpr bool kCacheableOfBoth = false;
};

// First stage over second stage, unless said otherwise.
template <typename Parts>
Mutant broken(std::string_view name) {
  return {.name = name,
          .upper = FormatKind::kVtdFirstStage,
          .lower = FormatKind::kVtdSecondStage,
          .subject = jointed_walk<X86FirstStage, VtdSecondStage, Parts>};
}

template <typename Format>
Mutant alone(std::string_view name, FormatKind kind) {
  return {.name = name, .upper = kind, .lower = std::nullopt, .subject = walk_one<Format>};
}

}  // namespace

std::vector<Mutant> nested_mutants() {
  return {
      broken<TablesNotTranslated>("nested_table_reads_not_translated"),
      broken<TablesReadAsWrites>("nested_table_reads_ask_for_write_access"),
      broken<UpdatesNotTranslated>("nested_updates_not_translated"),
      broken<UpdatesAsReads>("nested_updates_ask_for_read_access_only"),
      broken<PlainStores>("nested_updates_not_compare_exchanged"),
      broken<UpdatesBeforeTheOutput>("nested_updates_before_the_output_is_let_through"),
      broken<LowerStageLost>("nested_lower_failure_given_out_as_the_upper_ones"),
      broken<LowerReferencesLost>("nested_lower_references_lost"),
      broken<OutputNotTranslated>("nested_output_not_translated"),
      broken<OutputAsRead>("nested_output_always_asked_for_as_a_read"),
      broken<PageOfTheUpper>("nested_page_size_of_the_upper_stage_only"),
      broken<PermissionsOfTheUpper>("nested_permissions_of_the_upper_stage_only"),
      broken<CacheableOfTheUpper>("nested_dirty_owed_below_forgotten"),
      // Seen only by a lower stage that knows privilege.
      {.name = "nested_privilege_passed_down",
       .upper = FormatKind::kVtdFirstStage,
       .lower = FormatKind::kVtdFirstStage,
       .subject = jointed_walk<X86FirstStage, X86FirstStage, PrivilegePassedDown>},
  };
}

std::vector<Mutant> controls() {
  return {
      alone<VtdSecondStage>("second_stage", FormatKind::kVtdSecondStage),
      alone<X86FirstStage>("first_stage", FormatKind::kVtdFirstStage),
      alone<AmdV1>("v1", FormatKind::kAmdV1),
      broken<Joints>("nested"),
  };
}

}  // namespace weir::compare
