// SPDX-License-Identifier: Apache-2.0
//
// The comparison itself: one request asked of the oracle and of a subject, and runs of many of
// them. A run stops at the first difference and tells it in full. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tests/compare/machine.h"
#include "tests/compare/observed.h"
#include "tests/compare/tally.h"

namespace weir::compare {

// Takes out of a world what is judged before the tables, by the vendor's front end and not by the
// walk: MGAW, SRE, ERE and SMEP.
void leave_the_tables_alone(model::World& world);
void leave_the_tables_alone(model::Format& format);

// Nothing: the subject says what the oracle says, and did to memory what the oracle does. Else the
// difference, with every entry that was read on the way. `machine` holds the world's image before
// and after; `tally` grows by the oracle's verdict.
[[nodiscard]] std::optional<std::string> compare(const model::World& world, Machine& machine,
                                                 const model::Ask& ask, Subject subject,
                                                 Tally& tally);

struct Plan {
  model::FormatKind upper = model::FormatKind::kVtdSecondStage;
  std::optional<model::FormatKind> lower;
  std::uint64_t requests = 0;
};

struct Outcome {
  Tally tally;
  std::optional<std::string> difference;
};

// Random worlds, many requests each. With WEIR_COMPARE_WORLD=<seed> in the environment, only that
// world, as the report of a difference asks for.
[[nodiscard]] Outcome run(const Plan& plan, Subject subject);

// `few` in an ordinary run, `many` where WEIR_LONG is set, WEIR_COMPARE_REQUESTS whatever is.
[[nodiscard]] std::uint64_t requests(std::uint64_t few, std::uint64_t many);
[[nodiscard]] bool long_run();

}  // namespace weir::compare
