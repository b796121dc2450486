// SPDX-License-Identifier: Apache-2.0
//
// The table words that a walk rested on, for whoever wants to ask memory later whether they are
// still so. Lives for one walk on one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/address.h"

namespace weir::pagetables {

struct WordTrail {
  // Four levels over four.
  static constexpr std::size_t kMax = 24;

  std::array<Gpa, kMax> at;  // what is not in use has no value
  std::array<std::uint64_t, kMax> word;
  std::size_t count = 0;
  bool whole = true;  // false: there were more

  void note(Gpa where, std::uint64_t what) {
    if (count == kMax) {
      whole = false;
      return;
    }
    at[count] = where;
    word[count++] = what;
  }
  // The walk itself has changed a word.
  void amend(Gpa where, std::uint64_t what) {
    for (std::size_t i = 0; i < count; ++i)
      if (at[i] == where) word[i] = what;
  }
};

}  // namespace weir::pagetables
