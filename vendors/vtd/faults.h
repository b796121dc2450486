// SPDX-License-Identifier: Apache-2.0
//
// Primary fault recording (manual 7.2 and 10.4.9 to 10.4.14): the ring of fault-recording
// registers, the status register over it, overflow, and when the fault event is due. Faults of one
// requester collapse into its pending record, so that a storm from one device costs one.
//
// Works on the register file under the unit's lock. Never allocates, never sends.
#pragma once

#include <optional>

#include "base/fault.h"
#include "iommu/sinks.h"
#include "vendors/vtd/register_file.h"

namespace weir::vtd {

class FaultLog {
 public:
  // Records a fault that has a code. The message to send, if one is due.
  [[nodiscard]] std::optional<Msi> record(RegisterFile& registers, const Options& options,
                                          const Fault& fault);
  // After software cleared bits of FSTS or of a record.
  void after_service(RegisterFile& registers);

 private:
  unsigned next_ = 0;  // record to be used next
};

// Sets status bits of FSTS. The message to send, if an event is due: none while any earlier event
// is still unserviced.
[[nodiscard]] std::optional<Msi> set_fault_status(RegisterFile& registers, std::uint64_t bits);

}  // namespace weir::vtd
