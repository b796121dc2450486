// SPDX-License-Identifier: Apache-2.0
//
// Walks with one rule broken, for the comparison to catch: each is the library's own, with a format
// or a joint replaced from outside by way of its template parameters. And controls: the same
// plumbing with nothing broken, which must agree with the oracle.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "tests/compare/observed.h"

namespace weir::compare {

struct Mutant {
  std::string_view name;
  // What it is run on.
  model::FormatKind upper = model::FormatKind::kVtdSecondStage;
  std::optional<model::FormatKind> lower;
  Subject subject = nullptr;
};

[[nodiscard]] std::vector<Mutant> vtd_second_stage_mutants();
[[nodiscard]] std::vector<Mutant> x86_first_stage_mutants();
[[nodiscard]] std::vector<Mutant> amd_v1_mutants();
[[nodiscard]] std::vector<Mutant> nested_mutants();
[[nodiscard]] std::vector<Mutant> controls();

}  // namespace weir::compare
