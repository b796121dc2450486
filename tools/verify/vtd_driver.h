// SPDX-License-Identifier: Apache-2.0
//
// A guest's driver for one VT-d unit, in legacy or scalable mode, reduced to what test vectors ask
// for. It knows the unit as a guest does: registers, an invalidation queue in RAM, a status word,
// fault records. It is written from the manual and shares no layout with vendors/vtd, so that the
// two check each other.
//
// For one thread. What the unit does not do in time comes back as a sentence; poll() is called
// while waiting, because that is the embedder's side of the bargain.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "iommu/iommu.h"
#include "tools/verify/guest_ram.h"
#include "tools/verify/vtd_case.h"
#include "vendors/vtd/unit.h"

namespace weir::verify {

// Pages of RAM that the driver has for itself.
struct DriverPages {
  Gpa queue;
  Gpa status;
};

struct FaultRecord {
  enum class Type : std::uint8_t { kWrite, kRead, kOther };
  std::uint16_t source = 0;  // SID
  std::uint64_t info = 0;    // FI, in place
  Type type = Type::kWrite;  // T1, T2
  bool has_pasid = false;    // PP
  std::uint8_t reason = 0;   // FR
};

struct FaultStatus {
  bool pending = false;              // FSTS.PPF
  bool overflow = false;             // FSTS.PFO
  std::vector<FaultRecord> records;  // from FRI on
};

class VtdDriver {
 public:
  using Outcome = Result<Done, std::string>;

  VtdDriver(Iommu& iommu, vtd::Unit& unit, GuestRam& ram, DriverPages pages);

  [[nodiscard]] std::uint64_t capabilities();           // CAP
  [[nodiscard]] std::uint64_t extended_capabilities();  // ECAP

  struct Start {
    bool through_queue = false;
    bool scalable = false;  // needs the queue
  };
  // Queue on if it is to be used, root pointer set, translation on.
  [[nodiscard]] Outcome start(Gpa root, Start how);
  [[nodiscard]] Outcome set_root(Gpa root);
  [[nodiscard]] Outcome set_translation(bool on);
  [[nodiscard]] Outcome invalidate(const Invalidate& command);
  // Interrupt remapping: queue on, table set; remapping itself stays off.
  [[nodiscard]] Outcome start_interrupts(Gpa table, unsigned size, bool extended);
  [[nodiscard]] Outcome set_remapping(bool on);
  // All entries, or 2^mask from the first that `index` lies in.
  [[nodiscard]] Outcome flush_entries(std::optional<std::uint16_t> index, unsigned mask);
  // Queues what is malformed, sees how the unit takes it, and repairs the queue.
  [[nodiscard]] Outcome submit_bad(const BadDescriptor& bad);

  [[nodiscard]] FaultStatus read_faults();
  [[nodiscard]] Outcome clear_faults();

 private:
  struct Descriptor {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    std::array<std::uint64_t, 2> upper{};  // of 256-bit ones
  };

  [[nodiscard]] std::uint32_t read32(std::uint64_t at);
  [[nodiscard]] std::uint64_t read64(std::uint64_t at);
  void write32(std::uint64_t at, std::uint64_t value);
  void write64(std::uint64_t at, std::uint64_t value);
  // Sets GSTS bits by GCMD and waits until GSTS says so.
  [[nodiscard]] Outcome command(std::uint32_t bit, bool on, const char* name);
  template <typename Condition>
  [[nodiscard]] bool wait_for(Condition condition);

  [[nodiscard]] std::uint64_t descriptor_bytes() const { return how_.scalable ? 32 : 16; }
  [[nodiscard]] Descriptor descriptor_of(const Invalidate& command) const;
  [[nodiscard]] Outcome start_queue();
  [[nodiscard]] Descriptor next_wait();
  void place(Descriptor descriptor, unsigned slot);
  void advance_tail();
  [[nodiscard]] bool status_arrived() const;
  [[nodiscard]] Outcome submit(Descriptor descriptor);
  [[nodiscard]] Outcome invalidate_context_by_register(const Invalidate& command);
  [[nodiscard]] Outcome invalidate_iotlb_by_register(const Invalidate& command);

  Iommu& iommu_;
  vtd::Unit& unit_;
  GuestRam& ram_;
  DriverPages pages_;
  Start how_;
  unsigned tail_ = 0;           // slot that is written next
  std::uint32_t sequence_ = 0;  // status data of the last wait descriptor
};

}  // namespace weir::verify
