// SPDX-License-Identifier: Apache-2.0
//
// A guest in strict mode at full speed: two processors, each with a nested function in a domain of
// its own, whose network driver flushes every buffer before it uses its addresses again. Sized
// after a nested guest that moves 229 Gb/s: 70 M lookups, 7.9 M misses and 0.78 M flushes a second.
//
// For the thread that makes the cases; the case starts its own two.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "bench/cases.h"

namespace weir::bench {

namespace names {
inline constexpr std::string_view kStrictLookups = "strict nested guest, lookups";
inline constexpr std::string_view kStrictMisses = "strict nested guest, misses";
inline constexpr std::string_view kStrictFlushes = "strict nested guest, flushes";
}  // namespace names

// Adds those whose name `wanted` lets through.
void add_strict_guest_cases(std::vector<Case>& cases,
                            const std::function<bool(std::string_view)>& wanted);

}  // namespace weir::bench
