// SPDX-License-Identifier: Apache-2.0
//
// The seams (base/seam.h) of a weir command that real guests are booted against: one bug, named by
// WEIR_SEEDED_BUG, is there from the beginning to the end. tests/guest/cases.py says which, and who
// has to notice.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/seam.h"

namespace weir::seam {
namespace {

[[nodiscard]] Bug chosen_bug() {
  const char* const name = std::getenv("WEIR_SEEDED_BUG");
  const std::string_view bug = name == nullptr ? "" : name;
  if (bug == "kPagesForgotten") return Bug::kPagesForgotten;
  if (bug == "kCompletedEarly") return Bug::kCompletedEarly;
  // A test that seeds nothing would prove nothing.
  std::fprintf(stderr, "weir_seeded: WEIR_SEEDED_BUG names no bug\n");
  std::abort();
}

}  // namespace

void reach(Point /*point*/) {}

bool seeded(Bug bug) {
  static const Bug chosen = chosen_bug();
  return bug == chosen;
}

}  // namespace weir::seam
