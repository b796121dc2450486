// SPDX-License-Identifier: Apache-2.0
//
// A field is written high bit first, like the manuals.
// expect-error: static assertion failed
#include "base/bits.h"

constexpr weir::Field<0, 7> kUpsideDown{"U"};
constexpr auto kMask = kUpsideDown.kMask;
