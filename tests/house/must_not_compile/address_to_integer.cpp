// SPDX-License-Identifier: Apache-2.0
//
// Leaving an address space is written out, with value().
// expect-error: (error: cannot convert|error: could not convert|error: no viable conversion|error: no matching function)
#include "base/address.h"

std::uint64_t implicit(weir::Gpa gpa) { return gpa; }
