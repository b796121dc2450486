// SPDX-License-Identifier: Apache-2.0
//
// An address plus a length is an address; the sum of two addresses is nothing.
// expect-error: (error: no match for .operator\+|error: invalid operands|error: use of deleted function)
#include "base/address.h"

auto meaningless(weir::Gpa a, weir::Gpa b) { return a + b; }
