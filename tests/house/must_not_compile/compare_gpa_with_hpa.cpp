// SPDX-License-Identifier: Apache-2.0
//
// Equal numbers in two address spaces mean nothing.
// expect-error: (error: no match for .operator==|error: invalid operands|error: use of deleted function)
#include "base/address.h"

bool same_number(weir::Gpa gpa, weir::Hpa hpa) { return gpa == hpa; }
