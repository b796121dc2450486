// SPDX-License-Identifier: Apache-2.0
//
// Two fields of one layout that claim the same bit are refused while compiling.
// expect-error: fields_overlap_or_exceed_the_word
#include "base/bits.h"

constexpr weir::Field<7, 4> kHigh{"H"};
constexpr weir::Field<4, 0> kLow{"L"};
constexpr auto kWord = weir::layout<32>(kHigh, kLow);
