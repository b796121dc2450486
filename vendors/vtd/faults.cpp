// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/faults.h"

#include "vendors/vtd/events.h"
#include "vendors/vtd/fault_reasons.h"
#include "vendors/vtd/reading.h"

namespace weir::vtd {
namespace {

namespace frcd = reg::frcd;
namespace fsts = reg::fsts;

// T1 and T2: 00 write, 10 read, 01 page request, 11 atomic (10.4.14).
[[nodiscard]] std::uint64_t type_bits(const Fault& fault) {
  if (is_of_page_request(fault)) return frcd::kType2.kMask;
  switch (fault.request.access) {
    case Access::kWrite:
      return 0;
    case Access::kRead:
      return frcd::kType1.kMask;
    case Access::kReadWrite:
      return frcd::kType1.kMask | frcd::kType2.kMask;
  }
  return 0;
}

[[nodiscard]] std::uint64_t address_type_bits(AddressType type) {
  switch (type) {
    case AddressType::kUntranslated:
      return 0;
    case AddressType::kTranslationRequest:
      return frcd::kAddressType.of(1);
    case AddressType::kTranslated:
      return frcd::kAddressType.of(2);
  }
  return 0;
}

// PP, PASID, EXE and PRIV are reserved while ECAP.PASID is 0.
[[nodiscard]] std::uint64_t prefix_bits(const Request& request) {
  if (!request.pasid) return 0;
  return frcd::kPasidPresent.kMask | frcd::kPasid.of(request.pasid->value) |
         frcd::kExecute.of(request.execute) | frcd::kPrivileged.of(request.privileged);
}

// AT is reserved while ECAP.DT is 0.
[[nodiscard]] std::uint64_t high_word(const Options& options, const Fault& fault) {
  return frcd::kFault.kMask | type_bits(fault) |
         (options.device_tlb ? address_type_bits(fault.request.address_type) : 0) |
         (options.pasid_bits != 0 ? prefix_bits(fault.request) : 0) | frcd::kReason.of(fault.code) |
         frcd::kSource.of(fault.request.requester.bdf);
}

// FI: the page, with address bits from MGAW on zero; of an interrupt request, the index (10.4.14).
[[nodiscard]] std::uint64_t low_word(const Options& options, const Fault& fault) {
  if (is_of_interrupts(fault.code)) return frcd::kInterruptIndex.of(fault.vendor_detail);
  return frcd::kAddress.in_place(fault.request.iova.value()) &
         bit_mask(options.address_bits - 1, 0);
}

[[nodiscard]] bool any_pending(const RegisterFile& registers) {
  for (unsigned i = 0; i < registers.record_count(); ++i)
    if (frcd::kFault.is_set(registers.record_high(i))) return true;
  return false;
}

[[nodiscard]] bool pending_from(const RegisterFile& registers, std::uint16_t source) {
  for (unsigned i = 0; i < registers.record_count(); ++i) {
    const std::uint64_t high = registers.record_high(i);
    if (frcd::kFault.is_set(high) && frcd::kSource.get(high) == source) return true;
  }
  return false;
}

}  // namespace

std::optional<Msi> set_fault_status(RegisterFile& registers, std::uint64_t bits) {
  const std::uint64_t before = registers.get(fsts::kRegister);
  registers.set_bits(fsts::kRegister, bits);
  if ((before & fsts::kEvents) != 0) return std::nullopt;
  return signal(registers, kFaultEvent);
}

std::optional<Msi> FaultLog::record(RegisterFile& registers, const Options& options,
                                    const Fault& fault) {
  const std::uint64_t status = registers.get(fsts::kRegister);
  if (fsts::kOverflow.is_set(status)) return std::nullopt;
  if (pending_from(registers, fault.request.requester.bdf)) return std::nullopt;
  const unsigned index = next_;
  if (frcd::kFault.is_set(registers.record_high(index)))
    return set_fault_status(registers, fsts::kOverflow.kMask);
  next_ = (next_ + 1) % registers.record_count();
  registers.set_record(index, low_word(options, fault), high_word(options, fault));
  // FRI stays with the first pending record until PPF has been clear (10.4.9).
  if (!fsts::kPending.is_set(status))
    registers.set(fsts::kRegister, fsts::kFirstRecord.with(status, index));
  return set_fault_status(registers, fsts::kPending.kMask);
}

void FaultLog::after_service(RegisterFile& registers) {
  if (!any_pending(registers)) registers.clear_bits(fsts::kRegister, fsts::kPending.kMask);
  if ((registers.get(fsts::kRegister) & fsts::kEvents) == 0) lapse(registers, kFaultEvent);
}

}  // namespace weir::vtd
