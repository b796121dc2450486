// SPDX-License-Identifier: Apache-2.0
//
// One read of the guest's structures for one request, and the fault that it ends in: what the
// readers of legacy and of scalable mode share.
//
// Any thread; objects live for one read. Never waits, never writes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/fault.h"
#include "base/request.h"
#include "base/result.h"
#include "pagetables/physical_memory.h"
#include "pagetables/wide_load.h"
#include "vendors/vtd/fault_reasons.h"

namespace weir::vtd {

// A fault with the code in both vocabularies. `silenced`: FPD of what was read so far.
[[nodiscard]] Fault make_fault(const Request& request, Code code, FaultReason reason,
                               bool silenced);

// Fault::vendor_detail of a fault that a page request met; of an interrupt request it is the index.
inline constexpr std::uint32_t kPageRequestDetail = 1;
[[nodiscard]] constexpr bool is_of_page_request(const Fault& fault) {
  return !is_of_interrupts(fault.code) && fault.vendor_detail == kPageRequestDetail;
}

struct Reading {
  const Request& request;
  std::uint64_t entry_at = 0;
  std::uint32_t entries = 0;
  bool silenced = false;

  [[nodiscard]] Failure<Fault> fault(Code code, FaultReason reason) const {
    Fault result = make_fault(request, code, reason, silenced);
    result.entry_at = entry_at;
    result.references = entries;
    return Failure{result};
  }
};

// A structure of `Words` 64-bit words that software may rewrite while it is in use, taken in pieces
// of 128 bits, each as memory held it at one time; and all of them twice, until two readings agree:
// what is used then stood in memory as a whole. Software that rewrites without end is answered from
// the last pieces, as by hardware, which promises no more than those (L3).
template <std::size_t Words>
[[nodiscard]] std::optional<std::array<std::uint64_t, Words>> load_structure(
    const pagetables::PhysicalMemory& memory, Gpa at) {
  static_assert(Words % 2 == 0);
  constexpr int kAttempts = 8;
  std::array<std::uint64_t, Words> result{};
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::array<std::uint64_t, Words> now{};
    for (std::size_t i = 0; i < Words; i += 2) {
      const auto piece = pagetables::load_pair(memory, at + i * sizeof(std::uint64_t));
      if (!piece) return std::nullopt;
      now[i] = (*piece)[0];
      now[i + 1] = (*piece)[1];
    }
    const bool agrees = now == result && attempt != 0;
    result = now;
    if (agrees || Words == 2) break;
  }
  return result;
}

}  // namespace weir::vtd
