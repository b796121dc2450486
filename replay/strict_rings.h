// SPDX-License-Identifier: Apache-2.0
//
// A model of a nested guest in strict mode, as its NVMe and network drivers use a VT-d unit: first
// stage over second stage, four levels each, pages of 4 KiB in both. Rings stay mapped; every
// buffer is mapped for one transfer, and unmapped and flushed, page by page or by its aligned
// range, before its address is used again. Buffers come from anywhere in 64 MiB of guest memory.
//
//   NVMe   32 transfers of 128 KiB in flight; of each, the submission entry and the list of pages
//          are read, 32 pages written in pieces of 512 bytes, and the completion written
//   NIC    a receive ring of 512 buffers of a page each; of each, the descriptor is read, 1500 bytes
//          are written in pieces of 256, and the descriptor is written back
//
// Everything goes through what a guest has: memory, registers, a queue of 256-bit descriptors. What
// is counted is the unit's own books.
//
// For one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "iommu/stats.h"

namespace weir::replay {

class StrictRings {
 public:
  // What the guest says with its flushes: that only leaf entries changed (IH), as Linux has since
  // 6.12, or nothing.
  enum class Hint : std::uint8_t { kLeafOnly, kNone };

  // Refused in one sentence.
  [[nodiscard]] static Result<std::unique_ptr<StrictRings>, std::string> create(Hint hint);
  ~StrictRings();

  // One transfer of each device for every 32 packets, in turn. The failure says what went wrong: a
  // transfer that faulted, or landed elsewhere, or a flush that did not complete.
  [[nodiscard]] Result<Done, std::string> run(std::uint64_t rounds);
  [[nodiscard]] Stats stats() const;

 private:
  struct State;
  explicit StrictRings(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::replay
