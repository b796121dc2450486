// SPDX-License-Identifier: Apache-2.0
//
// The guest's memory while a recording is played back: RAM where the recorded machine had RAM,
// holding what units have seen or written there and zero elsewhere. What stands behind callbacks
// answers with what units have read there, and nothing else.
//
// Hpa is the same number as Gpa here. For one thread, but for the memory it gives out. Reserves
// address space for all of it; takes up real memory only for pages that were put or touched, and
// refuses beyond trace_limits::kPages of them.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/guest_memory.h"
#include "base/result.h"
#include "pagetables/host_map.h"
#include "replay/binary_trace.h"

namespace weir::replay {

class PlayedMemory {
 public:
  PlayedMemory();
  ~PlayedMemory();
  PlayedMemory(const PlayedMemory&) = delete;
  PlayedMemory& operator=(const PlayedMemory&) = delete;

  struct Shape {
    std::shared_ptr<const GuestMemory> memory;
    std::shared_ptr<const pagetables::HostMap> host_map;
  };
  // Memory holds these pieces from now on; what was there before is kept, for when it comes back.
  // What was given out before stays valid until the next call but one. Refused in one sentence.
  [[nodiscard]] Result<Shape, std::string> change(const TraceMemory& to);

  // Puts bytes where somebody is about to read them; they may cross no page. False: there is no
  // room left.
  [[nodiscard]] bool put(Gpa at, std::span<const std::byte> bytes);
  // Somebody else has written there.
  [[nodiscard]] bool touched(Gpa at, std::uint64_t size);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weir::replay
