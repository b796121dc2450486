// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/vtd_driver.h"

#include <algorithm>

#include "tools/verify/vtd_driver_registers.h"

namespace weir::verify {
namespace {

using namespace vtd_registers;

// Nothing is in flight when the driver waits, so a unit that needs more is stuck.
constexpr int kPatience = 100;

std::uint64_t iva_word(const Invalidate& command) {
  return command.address.value() | kAddressLeafOnly.of(command.leaf_only ? 1 : 0) |
         kAddressMask.of(command.address_mask);
}

std::uint64_t number_of(Invalidate::Granularity granularity) {
  return static_cast<std::uint64_t>(granularity);
}

// The unit may do more than was asked for, and says so; 0 means that it did nothing.
VtdDriver::Outcome check_granularity(const char* name, std::uint64_t done, std::uint64_t asked) {
  if (done != 0 && done <= asked) return Done{};
  return Failure{std::string(name) + " reads " + std::to_string(done) + " after a request of " +
                 std::to_string(asked)};
}

}  // namespace

VtdDriver::VtdDriver(Iommu& iommu, vtd::Unit& unit, GuestRam& ram, DriverPages pages)
    : iommu_(iommu), unit_(unit), ram_(ram), pages_(pages) {}

std::uint64_t VtdDriver::read64(std::uint64_t at) { return unit_.read_register(at, 8); }
std::uint32_t VtdDriver::read32(std::uint64_t at) {
  return static_cast<std::uint32_t>(unit_.read_register(at, 4));
}
void VtdDriver::write32(std::uint64_t at, std::uint64_t value) {
  unit_.write_register(at, 4, value);
}
void VtdDriver::write64(std::uint64_t at, std::uint64_t value) {
  unit_.write_register(at, 8, value);
}

std::uint64_t VtdDriver::capabilities() { return read64(kCap); }
std::uint64_t VtdDriver::extended_capabilities() { return read64(kEcap); }

template <typename Condition>
bool VtdDriver::wait_for(Condition condition) {
  for (int i = 0; i < kPatience; ++i) {
    if (condition()) return true;
    iommu_.poll();
  }
  return false;
}

VtdDriver::Outcome VtdDriver::command(std::uint32_t bit, bool on, const char* name) {
  const std::uint32_t lasting = read32(kGsts) & kLasting;
  write32(kGcmd, on ? lasting | bit : lasting & ~bit);
  if (wait_for([&] { return ((read32(kGsts) & bit) != 0) == on; })) return Done{};
  return Failure{std::string("GSTS.") + name + " does not become " + (on ? "1" : "0")};
}

VtdDriver::Outcome VtdDriver::start(Gpa root, Start how) {
  how_ = how;
  if (how.through_queue) {
    if (const auto started = start_queue(); !started) return started;
  } else if (how.scalable) {
    return Failure{std::string("scalable mode without a queue")};
  }
  if (const auto set = set_root(root); !set) return set;
  return set_translation(true);
}

VtdDriver::Outcome VtdDriver::set_root(Gpa root) {
  write64(kRtaddr, root.value() | kRootMode.of(how_.scalable ? 1 : 0));
  return command(kRootPointer, true, "RTPS");
}

VtdDriver::Outcome VtdDriver::set_translation(bool on) { return command(kTranslation, on, "TES"); }

VtdDriver::Descriptor VtdDriver::descriptor_of(const Invalidate& command) const {
  using What = Invalidate::What;
  using Granularity = Invalidate::Granularity;
  Descriptor descriptor;
  descriptor.low = kDomain.of(command.domain);
  switch (command.what) {
    case What::kContext:
      descriptor.low |= kType.of(kTypeContext) | kGranularity.of(number_of(command.granularity)) |
                        kSource.of(command.source) | kFunctionMask.of(command.function_mask);
      break;
    case What::kIotlb:
      descriptor.low |=
          kType.of(kTypeIotlb) | kGranularity.of(number_of(command.granularity)) | kDrain.of(3);
      break;
    case What::kPasidCache: {
      const std::uint64_t granularity = command.granularity == Granularity::kDomain  ? 0
                                        : command.granularity == Granularity::kPasid ? 1
                                                                                     : 3;
      descriptor.low |=
          kType.of(kTypePasidCache) | kGranularity.of(granularity) | kPasid.of(command.pasid);
      break;
    }
    case What::kPasidIotlb:
      descriptor.low |= kType.of(kTypePasidIotlb) |
                        kGranularity.of(command.granularity == Granularity::kPasid ? 2 : 3) |
                        kPasid.of(command.pasid);
      break;
  }
  if (command.what != What::kContext && command.granularity == Granularity::kFine)
    descriptor.high = iva_word(command);
  return descriptor;
}

VtdDriver::Outcome VtdDriver::invalidate(const Invalidate& command) {
  if (how_.through_queue) return submit(descriptor_of(command));
  return command.what == Invalidate::What::kContext ? invalidate_context_by_register(command)
                                                    : invalidate_iotlb_by_register(command);
}

VtdDriver::Outcome VtdDriver::start_interrupts(Gpa table, unsigned size, bool extended) {
  how_ = {.through_queue = true};
  if (const auto started = start_queue(); !started) return started;
  write64(kIrta, table.value() | kExtendedMode.of(extended ? 1 : 0) | kTableSize.of(size));
  return command(kInterruptTable, true, "IRTPS");
}

VtdDriver::Outcome VtdDriver::set_remapping(bool on) { return command(kRemapping, on, "IRES"); }

VtdDriver::Outcome VtdDriver::flush_entries(std::optional<std::uint16_t> index, unsigned mask) {
  Descriptor descriptor;
  descriptor.low = kType.of(kTypeEntries);
  if (index) descriptor.low |= kOneIndex.of(1) | kIndex.of(*index) | kIndexMask.of(mask);
  return submit(descriptor);
}

VtdDriver::Outcome VtdDriver::invalidate_context_by_register(const Invalidate& command) {
  const std::uint64_t asked = number_of(command.granularity);
  write64(kCcmd, kContextGo.of(1) | kContextWhat.of(asked) |
                     kContextMask.of(command.function_mask) | kContextSource.of(command.source) |
                     kContextDomain.of(command.domain));
  if (!wait_for([&] { return !kContextGo.is_set(read64(kCcmd)); })) {
    return Failure{std::string("CCMD.ICC does not clear")};
  }
  return check_granularity("CCMD.CAIG", kContextDone.get(read64(kCcmd)), asked);
}

VtdDriver::Outcome VtdDriver::invalidate_iotlb_by_register(const Invalidate& command) {
  const std::uint64_t iva = kIotlbAt.get(extended_capabilities()) * 16;
  const std::uint64_t iotlb = iva + 8;
  const std::uint64_t asked = number_of(command.granularity);
  if (command.granularity == Invalidate::Granularity::kFine) write64(iva, iva_word(command));
  write64(iotlb, kIotlbGo.of(1) | kIotlbWhat.of(asked) | kIotlbDrain.of(3) |
                     kIotlbDomain.of(command.domain));
  if (!wait_for([&] { return !kIotlbGo.is_set(read64(iotlb)); })) {
    return Failure{std::string("IOTLB.IVT does not clear")};
  }
  return check_granularity("IOTLB.IAIG", kIotlbDone.get(read64(iotlb)), asked);
}

VtdDriver::Outcome VtdDriver::start_queue() {
  write64(kIqt, 0);
  write64(kIqa, pages_.queue.value() | kWideQueue.of(how_.scalable ? 1 : 0));
  return command(kQueue, true, "QIES");
}

VtdDriver::Descriptor VtdDriver::next_wait() {
  ++sequence_;
  return {.low = kType.of(kTypeWait) | kWaitStatus.of(1) | kWaitData.of(sequence_),
          .high = pages_.status.value(),
          .upper = {}};
}

void VtdDriver::place(Descriptor descriptor, unsigned slot) {
  const Gpa at = pages_.queue + slot * descriptor_bytes();
  ram_.store64(at, descriptor.low);
  ram_.store64(at + 8, descriptor.high);
  if (!how_.scalable) return;
  ram_.store64(at + 16, descriptor.upper[0]);
  ram_.store64(at + 24, descriptor.upper[1]);
}

void VtdDriver::advance_tail() {
  tail_ = static_cast<unsigned>((tail_ + 1) % (kPageSize / descriptor_bytes()));  // QS = 0
}

bool VtdDriver::status_arrived() const {
  return static_cast<std::uint32_t>(ram_.load64(pages_.status)) == sequence_;
}

VtdDriver::Outcome VtdDriver::submit(Descriptor descriptor) {
  place(descriptor, tail_);
  advance_tail();
  place(next_wait(), tail_);
  advance_tail();
  write32(kIqt, tail_ * descriptor_bytes());
  const bool arrived = wait_for([&] { return status_arrived(); });
  if ((read32(kFsts) & kQueueError) != 0) return Failure{std::string("FSTS.IQE is set")};
  if (!arrived) return Failure{std::string("the wait descriptor's status is not written")};
  if (read64(kIqh) == tail_ * descriptor_bytes()) return Done{};
  return Failure{std::string("IQH has not reached IQT after the status was written")};
}

VtdDriver::Outcome VtdDriver::submit_bad(const BadDescriptor& bad) {
  if (!how_.through_queue) return Failure{std::string("the case uses no queue")};
  const unsigned slot = tail_;
  Descriptor culprit{.low = bad.words[0], .high = bad.words[1], .upper = {}};
  if (how_.scalable) culprit.upper = {bad.words[2], bad.words[3]};
  place(culprit, slot);
  advance_tail();
  write32(kIqt, tail_ * descriptor_bytes());
  const auto at_rest = [&] {
    return (read32(kFsts) & kQueueError) != 0 || read64(kIqh) == tail_ * descriptor_bytes();
  };
  if (!wait_for(at_rest)) return Failure{std::string("the queue neither stops nor goes on")};
  const std::uint64_t error = (read32(kFsts) & kQueueError) != 0 ? 1 : 0;
  const std::uint64_t head = read64(kIqh);
  std::string complaint;
  if (std::ranges::find(bad.queue_error, error) == bad.queue_error.end()) {
    complaint = "FSTS.IQE reads " + std::to_string(error);
  } else if (error != 0 && head != slot * descriptor_bytes()) {
    complaint = "IQH has left the malformed descriptor";
  }
  if (error != 0) {
    // As Linux repairs it: a wait in its place, then the error cleared; fetching resumes at IQH.
    place(next_wait(), slot);
    write32(kFsts, kQueueError);
    if (!wait_for([&] { return status_arrived(); }) && complaint.empty()) {
      complaint = "the queue does not resume once FSTS.IQE is cleared";
    }
  }
  if (!complaint.empty()) return Failure{complaint};
  return Done{};
}

FaultStatus VtdDriver::read_faults() {
  const std::uint32_t status = read32(kFsts);
  const std::uint64_t cap = capabilities();
  const std::uint64_t base = kFaultRecordsAt.get(cap) * 16;
  const std::uint64_t count = kFaultRecords.get(cap) + 1;
  FaultStatus faults{.pending = (status & kFaultPending) != 0,
                     .overflow = (status & kFaultOverflow) != 0,
                     .records = {}};
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t index = (kFaultIndex.get(status) + i) % count;
    const std::uint64_t at = base + index * kFaultRecordBytes;
    const std::uint64_t high = read64(at + 8);
    if (!kFault.is_set(high)) continue;
    FaultRecord record;
    record.source = static_cast<std::uint16_t>(kFaultSource.get(high));
    record.info = read64(at);
    record.type = kFaultT2.is_set(high)   ? FaultRecord::Type::kOther
                  : kFaultT1.is_set(high) ? FaultRecord::Type::kRead
                                          : FaultRecord::Type::kWrite;
    record.has_pasid = kFaultPasid.is_set(high);
    record.reason = static_cast<std::uint8_t>(kFaultReason.get(high));
    faults.records.push_back(record);
  }
  return faults;
}

VtdDriver::Outcome VtdDriver::clear_faults() {
  const std::uint64_t cap = capabilities();
  const std::uint64_t base = kFaultRecordsAt.get(cap) * 16;
  for (std::uint64_t i = 0; i <= kFaultRecords.get(cap); ++i) {
    // The top bit of the record, by its last 32 bits: the rest is not the driver's to write.
    const std::uint64_t top = base + i * kFaultRecordBytes + 12;
    if ((read32(top) & 1U << 31) != 0) write32(top, 1U << 31);
  }
  write32(kFsts, kFaultOverflow);
  if ((read32(kFsts) & (kFaultOverflow | kFaultPending)) == 0) return Done{};
  return Failure{std::string("FSTS.PFO or PPF stays set after the records were cleared")};
}

}  // namespace weir::verify
