// SPDX-License-Identifier: Apache-2.0
//
// The driver's side of a virtqueue, as a guest has it: fills descriptors, split or packed, chained
// or through an indirect table, makes them available, and takes back what was used. It writes guest
// memory and nothing else.
//
// One thread. The memory must outlive it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "pagetables/physical_memory.h"

namespace weir::replay {

struct RingShape {
  std::uint16_t size = 256;  // a power of two, for split rings
  bool packed = false;
  bool indirect = false;
  bool event_index = false;
};

class VirtioDriverRing {
 public:
  static constexpr std::uint16_t kMostParts = 8;  // of one buffer

  struct Part {
    Gpa at;
    std::uint32_t bytes = 0;
  };
  struct Returned {
    std::uint16_t token = 0;
    std::uint32_t written = 0;
  };

  // Guest memory that a ring takes up, from `area` on, which is page-aligned.
  [[nodiscard]] static std::uint64_t bytes_needed(const RingShape& shape);
  VirtioDriverRing(const pagetables::PhysicalMemory& memory, Gpa area, const RingShape& shape);

  [[nodiscard]] Gpa descriptors() const { return descriptors_; }
  [[nodiscard]] Gpa driver_area() const { return driver_; }
  [[nodiscard]] Gpa device_area() const { return device_; }

  // Puts a buffer into the ring, not visible yet. The token names it when it comes back; nothing:
  // the ring is full.
  [[nodiscard]] std::optional<std::uint16_t> add(std::span<const Part> readable,
                                                 std::span<const Part> writable);
  // Makes everything added visible. True: the device wants a kick for it.
  [[nodiscard]] bool publish();
  [[nodiscard]] std::optional<Returned> take_used();
  // Whether the device shall interrupt for the next buffer that it returns, or for none.
  void want_interrupts(bool wanted);

 private:
  struct Head {  // packed: flags that are written last
    Gpa at;
    std::uint16_t flags = 0;
  };

  void store16(Gpa at, std::uint16_t value);
  [[nodiscard]] std::uint16_t load16(Gpa at) const;
  void write_descriptor(Gpa at, const Part& part, std::uint16_t low, std::uint16_t high);
  void add_split(std::uint16_t token, std::span<const Part> all, std::size_t readable);
  void add_packed(std::uint16_t token, std::span<const Part> all, std::size_t readable);
  [[nodiscard]] bool publish_split();
  [[nodiscard]] bool publish_packed();

  // Constant after construction.
  const pagetables::PhysicalMemory& memory_;
  const RingShape shape_;
  Gpa descriptors_;
  Gpa driver_;
  Gpa device_;
  Gpa tables_;

  std::vector<std::uint16_t> free_tokens_;
  std::vector<std::uint16_t> slots_of_;            // ring entries of each token's buffer
  std::vector<std::vector<std::uint16_t>> chain_;  // split: its descriptors
  std::vector<std::uint16_t> free_descriptors_;    // split
  std::uint16_t free_slots_ = 0;                   // packed

  std::uint16_t next_available_ = 0;  // split: free-running; packed: slot
  std::uint16_t published_ = 0;       // split: as the device sees it; packed: slot
  bool available_wrap_ = true;        // packed
  bool published_wrap_ = true;
  std::uint16_t unpublished_ = 0;  // packed: slots
  std::vector<Head> heads_;
  std::uint16_t next_used_ = 0;
  bool used_wrap_ = true;  // packed
};

}  // namespace weir::replay
