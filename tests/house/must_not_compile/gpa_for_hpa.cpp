// SPDX-License-Identifier: Apache-2.0
//
// Only the host map turns a guest-physical address into a host-physical one.
// expect-error: (error: could not convert|error: cannot convert|error: no matching function|error: no viable conversion)
#include "base/address.h"

std::uint64_t land(weir::Hpa hpa);
std::uint64_t skip_the_host_map(weir::Gpa gpa) { return land(gpa); }
