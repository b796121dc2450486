// SPDX-License-Identifier: Apache-2.0
//
// A guest's driver for one AMD-Vi unit, reduced to what test vectors ask for. It knows the unit as
// a guest does: registers, a command buffer and an event log in RAM, a semaphore. It is written
// from the manual as Linux reads it and shares no layout with vendors/amdvi, so that the two check
// each other.
//
// For one thread. What the unit does not do in time comes back as a sentence; poll() is called
// while waiting, because that is the embedder's side of the bargain.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "iommu/iommu.h"
#include "tools/verify/amdvi_case.h"
#include "tools/verify/guest_ram.h"
#include "vendors/amdvi/unit.h"

namespace weir::verify {

struct AmdDriverPages {
  Gpa commands;
  Gpa events;
  Gpa semaphore;
};

struct AmdEvent {
  unsigned code = 0;
  std::uint16_t device = 0;
  std::uint16_t domain = 0;
  std::uint64_t address = 0;
  bool interrupt = false, present = false, write = false, permission = false, reserved = false;
};

class AmdDriver {
 public:
  using Outcome = Result<Done, std::string>;

  AmdDriver(Iommu& iommu, amdvi::Unit& unit, GuestRam& ram, AmdDriverPages pages)
      : iommu_(iommu), unit_(unit), ram_(ram), pages_(pages) {}

  [[nodiscard]] Outcome start(Gpa device_table, unsigned pages);
  [[nodiscard]] Outcome set_translation(bool on);
  [[nodiscard]] Outcome forget_entry(std::uint16_t device);
  [[nodiscard]] Outcome forget_pages(const ForgetPages& pages);
  [[nodiscard]] Outcome forget_everything();

  // Whether the tables of that device, as they are now, map `iova` with a leaf of NextLevel 7 whose
  // size is just that of the level above. The files hold it for a page; 48882 has the encoded size
  // smaller (docs/oracle-differences.md).
  [[nodiscard]] bool ends_in_next_level_size(std::uint16_t device, std::uint64_t iova) const;

  // What was logged since the last call.
  [[nodiscard]] std::vector<AmdEvent> take_events();

 private:
  void queue(std::uint64_t low, std::uint64_t high);
  // The command, then a wait for everything.
  [[nodiscard]] Outcome submit(std::uint64_t low, std::uint64_t high);

  Iommu& iommu_;
  amdvi::Unit& unit_;
  GuestRam& ram_;
  AmdDriverPages pages_;
  Gpa device_table_;
  std::uint32_t tail_ = 0;
  std::uint64_t sequence_ = 0;
};

}  // namespace weir::verify
