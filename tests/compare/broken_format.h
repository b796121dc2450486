// SPDX-License-Identifier: Apache-2.0
//
// A library's format with a change to what its judgement goes in by or comes out as.
#pragma once

#include <cstdint>
#include <optional>

#include "tests/compare/walks.h"

namespace weir::compare {

// Change: (entry, level) -> the entry that is judged instead.
template <typename Format, auto Change>
struct WithEntry : Format {
  [[nodiscard]] static pagetables::Step inspect(std::uint64_t entry, unsigned level, const Ask& ask,
                                                const typename Format::Rules& rules) {
    return Format::inspect(Change(entry, level), level, ask, rules);
  }
};

// Change: (rules&, level), before the judgement.
template <typename Format, auto Change>
struct WithRules : Format {
  [[nodiscard]] static pagetables::Step inspect(std::uint64_t entry, unsigned level, const Ask& ask,
                                                const typename Format::Rules& rules) {
    typename Format::Rules changed = rules;
    Change(changed, level);
    return Format::inspect(entry, level, ask, changed);
  }
};

// Change: (step&, entry, level), after it.
template <typename Format, auto Change>
struct WithStep : Format {
  [[nodiscard]] static pagetables::Step inspect(std::uint64_t entry, unsigned level, const Ask& ask,
                                                const typename Format::Rules& rules) {
    pagetables::Step step = Format::inspect(entry, level, ask, rules);
    Change(step, entry, level);
    return step;
  }
};

// Change: (ask&), for the judgement of entries and of what they allow together.
template <typename Format, auto Change>
struct WithAsk : Format {
  [[nodiscard]] static pagetables::Step inspect(std::uint64_t entry, unsigned level, const Ask& ask,
                                                const typename Format::Rules& rules) {
    return Format::inspect(entry, level, changed(ask), rules);
  }
  [[nodiscard]] static std::optional<FaultReason> refuse(Permissions permissions, const Ask& ask) {
    return Format::refuse(permissions, changed(ask));
  }

 private:
  [[nodiscard]] static Ask changed(Ask ask) {
    Change(ask);
    return ask;
  }
};

// Change: (input, levels) -> why the input is refused.
template <typename Format, auto Change>
struct WithInput : Format {
  [[nodiscard]] static std::optional<FaultReason> refuse_input(std::uint64_t input,
                                                               unsigned levels) {
    return Change(input, levels);
  }
};

}  // namespace weir::compare
