// SPDX-License-Identifier: Apache-2.0
//
// A field that does not fit into its layout's word is refused while compiling.
// expect-error: fields_overlap_or_exceed_the_word
#include "base/bits.h"

constexpr weir::Field<32, 30> kTop{"T"};
constexpr auto kWord = weir::layout<32>(kTop);
