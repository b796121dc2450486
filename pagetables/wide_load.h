// SPDX-License-Identifier: Apache-2.0
//
// Guest structures of 16 or 32 bytes that software rewrites while they are in use (context entries,
// interrupt entries, device table entries): all words as memory held them at one time (L3).
//
// Any thread; never blocks. Exact where the host can load 16 aligned bytes at once (x86 with AVX).
// Elsewhere the first word is read again after the second, a bounded number of times: a rewrite
// there and back between two loads would go unseen.
#pragma once

#include <array>
#include <cstdint>

#include "base/fault.h"
#include "base/result.h"
#include "pagetables/physical_memory.h"

namespace weir::pagetables {

// `at` is a multiple of 16. Word 0 is the lower one. An entry that keeps changing counts as
// unreadable.
[[nodiscard]] Result<std::array<std::uint64_t, 2>, FaultReason> load_pair(
    const PhysicalMemory& memory, Gpa at);

// The same for four words; `at` is a multiple of 32. No host loads 32 bytes at once by promise, so
// the first pair is read again after the second, whatever the host: a rewrite there and back
// between the two would go unseen.
[[nodiscard]] Result<std::array<std::uint64_t, 4>, FaultReason> load_quad(
    const PhysicalMemory& memory, Gpa at);

}  // namespace weir::pagetables
