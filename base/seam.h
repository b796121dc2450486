// SPDX-License-Identifier: Apache-2.0
//
// Places where a test can stop a thread, and bugs that it can switch on, to show that they would be
// caught (tests/seams). In the library both are nothing: the macros below leave no code, no symbol
// and no string behind, and a test of the house looks. tests/seams compiles the rooms once more
// with WEIR_SEAMS, which is never defined anywhere else.
//
// WEIR_SEAM(kPoint);              a thread may be stopped here
// if (!WEIR_BUG(kBug) && ...)     the seeded bug of that name is switched on
#pragma once

#if defined(WEIR_SEAMS)

#include <cstdint>

namespace weir::seam {

enum class Point : std::uint8_t {
  kContextRead,   // translate: it has a context, and no fill ticket yet
  kWalked,        // translate: the walk has answered, nothing is filled yet
  kHalfFilled,    // a set: the key of a new entry is in its place, its output is not
  kSetIsHeld,     // a set: somebody else is inside
  kBurstLeft,     // core: a burst has ended, and nobody has looked yet who waits for it
  kUnitsPolled,   // core: every unit has been asked, the poll has not ended
  kBeforeUpdate,  // a walk: an entry has been read, its accessed bit is not set yet
  kTranslated,    // a device: it has an answer, and has not used it yet
  kAnswered,      // a device: it has the answer to a translation request, and has not kept it yet
};

enum class Bug : std::uint8_t {
  kNone,
  kFillUnchecked,
  kBurstShownLate,
  kCompletedEarly,
  kTornEntry,
  kPartialSuperpage,
  kPasidForgotten,
  kStage2RangeForgotten,
  kPagesForgotten,
  kHostRangeForgotten,
  kWalkCacheForgotten,
  kGenerationWrap,
  kContextNotAskedAgain,
  kContextKeptUnchecked,
  kDeviceTlbUnchecked,
  kModeShownEarly,
  kRightsForgotten,
  kCollectedLate,
  kSetNotLookedAt,
  kPagesStayShared,
  kTransitionNotAwaited,
};

void reach(Point point);
[[nodiscard]] bool seeded(Bug bug);

}  // namespace weir::seam

#define WEIR_SEAM(point) ::weir::seam::reach(::weir::seam::Point::point)
#define WEIR_BUG(bug) ::weir::seam::seeded(::weir::seam::Bug::bug)

#else

#define WEIR_SEAM(point) static_cast<void>(0)
#define WEIR_BUG(bug) false

#endif
