// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/guest_apic.h"

#include <span>

#include "vendors/amdvi/device_table.h"
#include "vendors/amdvi/interrupt_entry.h"

namespace weir::amdvi {
namespace {

// Bounded: a page that keeps changing under us counts as unreadable.
constexpr int kAttempts = 64;

[[nodiscard]] bool set_request_bit(const pagetables::PhysicalMemory& memory, Gpa page,
                                   std::uint8_t vector) {
  namespace apic = virtual_apic;
  const Gpa at = page + apic::kRequests + apic::kWord.get(vector) * apic::kWordStride;
  const auto index = static_cast<unsigned>(apic::kBit.get(vector));
  const std::uint64_t bit = bit_mask(index, index);
  auto seen = memory.load64(at);
  for (int i = 0; i < kAttempts && seen; ++i) {
    std::uint64_t now = *seen;
    const auto done = memory.compare_exchange64(at, now, now | bit);
    if (!done) return false;
    if (*done) return true;
    seen = now;
  }
  return false;
}

// The log's tail is in memory too, where software polls it without a register read.
void store_tail(Shared& shared) {
  std::uint64_t at = 0;
  std::uint64_t tail = 0;
  {
    MutexLock lock(shared.mutex);
    at = reg::guest_log_tail::kAddress.in_place(
        shared.registers.get(reg::guest_log_tail::kRegister));
    tail = shared.registers.get(reg::kGuestLogTail);
  }
  if (at != 0) (void)shared.host.write_memory(Gpa(at), std::as_bytes(std::span(&tail, 1)));
}

}  // namespace

Result<std::optional<Msi>, Fault> post_interrupt(Shared& shared, const Request& request,
                                                 const RemappedInterrupt& posted,
                                                 const pagetables::PhysicalMemory& memory) {
  if (!set_request_bit(memory, posted.descriptor, posted.interrupt.vector)) {
    Fault fault = make_fault(request, EventCode::kPageTableError, FaultReason::kInterruptUnreadable,
                             event::kInterrupt.kMask | event::kErrorType.of(event::kMasterAbort));
    fault.entry_at = posted.descriptor.value();
    return Failure{fault};
  }
  if (posted.urgent) {
    (void)shared.log_entry(LogKind::kGuest, {guest_log::kTag.of(posted.vendor_detail) |
                                                 guest_log::kDevice.of(request.requester.bdf) |
                                                 guest_log::kCode.of(guest_log::kNotRunning),
                                             0});
    store_tail(shared);
  }
  if (posted.msi == Msi{}) return std::optional<Msi>{};
  return std::optional(posted.msi);
}

}  // namespace weir::amdvi
