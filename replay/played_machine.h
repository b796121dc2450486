// SPDX-License-Identifier: Apache-2.0
//
// A recorded machine, made again from the records and put through the same operations: the same
// units with the same options behind the same tables, the same memory as far as units saw it, the
// same time. What comes of each operation is compared with what the recording says came of it.
//
// For one thread. The records come in the order of the file; a record that makes no sense here is
// refused in one sentence, and then the machine is of no more use.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "iommu/stats.h"
#include "replay/binary_trace.h"

namespace weir::replay {

// How far it came out the same.
struct PlayedBack {
  struct Compared {
    std::uint64_t count = 0;
    std::uint64_t different = 0;
  };
  std::uint64_t operations = 0;
  Compared pieces;  // of requests: answers and faults
  Compared hits;    // of answers: whether the IOTLB had them
  Compared calls;   // what they gave
  Compared events;  // invalidations and interrupts
  Compared memory;  // operations that read or wrote guest memory: how often, and what
  Compared books;
  std::uint64_t seen = 0;         // bytes of guest memory that the recording supplied
  std::uint64_t inner_calls = 0;  // from inside sinks; not played back
  // Of pieces, as recorded: by the front end's code and the reason.
  std::map<std::pair<std::uint16_t, FaultReason>, std::uint64_t> faults;

  // All but the work that it took. This, and no more, can be asked of a recording that was made by
  // a weir whose caches were organised otherwise.
  [[nodiscard]] bool same_answers() const { return pieces.different == 0; }
  [[nodiscard]] bool same() const {
    return pieces.different == 0 && hits.different == 0 && calls.different == 0 && events.different == 0 &&
           memory.different == 0 && books.different == 0;
  }
};

class PlayedMachine {
 public:
  // `differs` hears a line about each operation, or book, that came out otherwise.
  explicit PlayedMachine(std::function<void(std::string)> differs);
  ~PlayedMachine();
  PlayedMachine(const PlayedMachine&) = delete;
  PlayedMachine& operator=(const PlayedMachine&) = delete;

  using Taken = Result<Done, std::string>;
  [[nodiscard]] Taken take(const TraceMachine& machine);
  [[nodiscard]] Taken take(const TraceTable& table);
  [[nodiscard]] Taken take(const TraceUnit& unit);
  [[nodiscard]] Taken take(const TraceMemory& memory);
  [[nodiscard]] Taken take(const TraceOperation& operation);
  [[nodiscard]] Taken take(const TraceEnd& end);

  [[nodiscard]] const PlayedBack& result() const;
  [[nodiscard]] Stats stats() const;
  // The kinds of units that there are, for people.
  [[nodiscard]] std::string front_end() const;
  [[nodiscard]] const CacheOptions& caches() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weir::replay
