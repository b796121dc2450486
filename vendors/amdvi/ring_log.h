// SPDX-License-Identifier: Apache-2.0
//
// A log in memory that the unit writes and software reads: events, page requests, the guest APIC
// log (48882 sections 2.5.1, 2.6 and 2.7; the registers of 3.4.15). Entries appear in memory before
// the tail moves over them, and the tail moves before the interrupt goes out. One slot stays empty;
// what finds no room sets the overflow bit and is lost, and so is all that follows until software
// has started the log again.
//
// add() works under the unit's lock and reserves a slot; flush() is called without it and writes,
// one thread at a time in the order of the slots. Never waits: who finds a writer leaves the entry
// to it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>

#include "base/mutex.h"
#include "iommu/unit.h"
#include "vendors/amdvi/register_file.h"

namespace weir::amdvi {

// Where a log's registers and bits are.
struct LogShape {
  const reg::Register& base;
  const reg::Register& head;
  const reg::Register& tail;
  std::uint64_t entry_bytes;
  std::uint64_t enable;              // Control: all of them
  std::uint64_t interrupt_enable;    // Control
  std::uint64_t run;                 // Status
  std::uint64_t overflow;            // Status
  std::uint64_t interrupt;           // Status
  const reg::Register& own_message;  // XT register
};
[[nodiscard]] const LogShape& event_log_shape();
[[nodiscard]] const LogShape& request_log_shape();
[[nodiscard]] const LogShape& guest_log_shape();

// What a ring of that base register's length takes: 2^8 to 2^15 entries.
[[nodiscard]] std::uint64_t ring_bytes(std::uint64_t base, std::uint64_t entry_bytes);

// A status bit was set: is a message due? Only for a condition that was not there before.
[[nodiscard]] bool set_status(RegisterFile& registers, std::uint64_t status_bit,
                              std::uint64_t interrupt_enable);

class RingLog {
 public:
  using Entry = std::array<std::uint64_t, 2>;

  explicit RingLog(const LogShape& shape) : shape_(&shape) {}

  [[nodiscard]] const LogShape& shape() const { return *shape_; }

  // Under the unit's lock.
  struct Added {
    bool taken = false;        // it will be written
    bool message_due = false;  // of an overflow
  };
  [[nodiscard]] Added add(RegisterFile& registers, const Entry& entry);
  // The log was started, stopped or moved: what has not been written yet is lost.
  void restart(const RegisterFile& registers);
  // There is something to write and nobody writes it: who gets true must flush().
  [[nodiscard]] bool begin_writing();

  struct Slot {
    Gpa at;
    Entry entry{};
    std::uint64_t tail_after = 0;
    std::uint64_t generation = 0;
  };
  // The next entry to be written; nothing: the writer is done. Under the lock.
  [[nodiscard]] std::optional<Slot> next();
  // `written`: the entry is in memory. True: a message is due. Under the lock.
  [[nodiscard]] bool publish(RegisterFile& registers, const Slot& slot, bool written);

 private:
  const LogShape* shape_;
  std::deque<Slot> pending_;
  std::uint64_t reserved_ = 0;  // tail with everything pending
  std::uint64_t generation_ = 0;
  bool writing_ = false;
};

}  // namespace weir::amdvi
