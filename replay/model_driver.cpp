// SPDX-License-Identifier: Apache-2.0
#include "replay/model_driver.h"

#include "replay/vtd_driver_registers.h"

namespace weir::replay {
namespace {

using namespace driver;

// Puts a write of `size` bytes at `offset` into the 64-bit register that begins at `base`.
void merge(std::uint64_t& into, std::uint64_t base, std::uint64_t offset, unsigned size,
           std::uint64_t value) {
  if (size == 8) {
    into = value;
  } else if (offset == base) {
    into = (into & ~std::uint64_t{0xffffffff}) | (value & 0xffffffff);
  } else {
    into = (into & 0xffffffff) | value << 32;
  }
}

[[nodiscard]] bool within(std::uint64_t offset, std::uint64_t begin, std::uint64_t end) {
  return begin <= offset && offset < end;
}

}  // namespace

Result<VtdModelDriver, std::string> VtdModelDriver::create(vtd::Unit& unit, ModelMemory& memory,
                                                           Mode mode, Lose lose) {
  VtdModelDriver made(unit, memory, std::move(lose));
  // Pages come one after the other: the queue has two.
  Gpa second_of_queue;
  for (Gpa* page : {&made.root_, &made.queue_, &second_of_queue, &made.status_}) {
    const auto allocated = made.page_for("own structures");
    if (!allocated) return Failure{allocated.error()};
    *page = *allocated;
  }
  if (mode == Mode::kScalable) {
    made.traced_root_ = kTableMode.of(kScalableTables);
    made.traced_queue_ = kWide.kMask;
  }
  const std::uint64_t cap = unit.read_register(kCap, 8);
  made.records_ = kFaultRecordOffset.get(cap) * kRecordBytes;
  made.records_bytes_ = (kFaultRecordCount.get(cap) + 1) * kRecordBytes;
  made.iotlb_block_ = kIotlbRegisterOffset.get(unit.read_register(kEcap, 8)) * 16;
  return made;
}

Result<Gpa, std::string> VtdModelDriver::page_for(const char* what) {
  const auto page = memory_->allocate_page();
  if (!page) return Failure{std::string("no memory is left for the model driver's ") + what};
  return *page;
}

bool VtdModelDriver::is_scalable() const {
  return kTableMode.get(traced_root_) == kScalableTables;
}

std::uint64_t VtdModelDriver::descriptor_bytes() const {
  return kWide.is_set(traced_queue_) ? 2 * kDescriptorBytes : kDescriptorBytes;
}

void VtdModelDriver::store(Gpa at, std::uint64_t value) {
  // Cannot fail: the page was given out by this memory.
  (void)memory_->physical().store64(at, value);
}

// ---- Registers

VtdModelDriver::Outcome VtdModelDriver::command(std::uint32_t bits, std::uint32_t settled_mask) {
  unit_->write_register(kGcmd, 4, bits);
  const auto status = static_cast<std::uint32_t>(unit_->read_register(kGsts, 4));
  if ((status & settled_mask) != (bits & settled_mask))
    return Failure{std::string("the unit did not carry out a global command")};
  return Done{};
}

VtdModelDriver::Outcome VtdModelDriver::write_global_command(std::uint32_t value) {
  // One change per write (10.4.4). Interrupt remapping is another unit's business and not asked
  // for.
  if ((value & kSetRootPointer) != 0) {
    unit_->write_register(kRtaddr, 8, root_.value() | kTableMode.in_place(traced_root_));
    if (auto done = command(enabled_ | kSetRootPointer, kSetRootPointer); !done) return done;
    root_set_ = true;
  }
  for (const std::uint32_t bit : {kQueueEnable, kTranslationEnable}) {
    if (((value ^ enabled_) & bit) == 0) continue;
    if (bit == kQueueEnable && (value & bit) != 0) {
      tail_ = 0;
      unit_->write_register(kIqt, 4, 0);
      const bool wide = kWide.is_set(traced_queue_);
      unit_->write_register(kIqa, 8,
                            queue_.value() | (wide ? kWide.kMask | kQueueSize.of(1) : 0));
    }
    enabled_ ^= bit;
    if (auto done = command(enabled_, bit); !done) return done;
  }
  return Done{};
}

VtdModelDriver::Outcome VtdModelDriver::start_queue() {
  if ((enabled_ & kQueueEnable) != 0) return Done{};
  return write_global_command(enabled_ | kQueueEnable);
}

VtdModelDriver::Outcome VtdModelDriver::start_translation() {
  if ((enabled_ & kTranslationEnable) != 0) return Done{};
  return write_global_command(enabled_ | kTranslationEnable | (root_set_ ? 0 : kSetRootPointer));
}

Result<std::optional<Flush>, std::string> VtdModelDriver::write_invalidation(
    const RegisterWrite& write) {
  const bool context = within(write.offset, kCcmd, kCcmd + 8);
  const std::uint64_t at = context ? write.offset : iotlb_block_ + (write.offset - kQemuIva);
  unit_->write_register(at, write.size, write.value);
  const auto merge_into = [&write](std::uint64_t& whole, std::uint64_t base) {
    merge(whole, base, write.offset, write.size, write.value);
    // Only the half with the command bit starts anything.
    return write.offset + write.size == base + 8;
  };
  std::optional<Flush> flush;
  if (context) {
    if (merge_into(ccmd_, kCcmd)) flush = flush_of_context_command(ccmd_);
  } else if (write.offset < kQemuIotlb) {
    (void)merge_into(iva_, kQemuIva);
  } else if (merge_into(iotlb_, kQemuIotlb)) {
    flush = flush_of_iotlb_command(iotlb_, iva_);
  }
  const std::uint64_t command = context ? kCcmd : iotlb_block_ + (kQemuIotlb - kQemuIva);
  if (flush && kCommandPending.is_set(unit_->read_register(command, 8)))
    return Failure{std::string("the unit did not complete an invalidation command")};
  return flush;
}

Result<std::optional<Flush>, std::string> VtdModelDriver::write_register(
    const RegisterWrite& write) {
  const std::uint64_t at = write.offset;
  const bool queue_on = (enabled_ & kQueueEnable) != 0;
  if (at == kGcmd) {
    const auto done = write_global_command(static_cast<std::uint32_t>(write.value));
    if (!done) return Failure{done.error()};
  } else if (within(at, kRtaddr, kRtaddr + 8)) {
    merge(traced_root_, kRtaddr, at, write.size, write.value);
  } else if (within(at, kIqa, kIqa + 8)) {
    merge(traced_queue_, kIqa, at, write.size, write.value);
  } else if (within(at, kCcmd, kCcmd + 8) || within(at, kQemuIva, kQemuIotlb + 8)) {
    // What these do beside a queue is nobody's promise; QEMU does nothing then, and neither do we.
    if (!queue_on) return write_invalidation(write);
  } else if (within(at, kQemuRecords, kQemuRecords + records_bytes_)) {
    unit_->write_register(records_ + (at - kQemuRecords), write.size, write.value);
  } else if (at == kFsts || within(at, kFectl, kFectlEnd) || within(at, kIcs, kIcsEnd)) {
    unit_->write_register(at, write.size, write.value);
  }
  return std::optional<Flush>{};
}

FaultRecord VtdModelDriver::fault_record(std::uint16_t index) {
  const std::uint64_t at = records_ + index * kRecordBytes;
  return {.high = unit_->read_register(at + 8, 8), .low = unit_->read_register(at, 8)};
}

// ---- Tables

VtdModelDriver::Outcome VtdModelDriver::set_context(Requester requester, std::uint64_t high,
                                                    std::uint64_t low, std::optional<Gpa> root) {
  auto [table, fresh] =
      context_tables_.try_emplace(static_cast<std::uint16_t>(requester.bus() << 8));
  if (fresh) {
    const auto page = page_for("context tables");
    if (!page) return Failure{page.error()};
    table->second = *page;
  }
  const Gpa entry = table->second + requester.devfn() * kTableEntryBytes;
  if (root) low = (low & ~kPageAddress.kMask) | root->value();
  // The word with P last, so that no reader sees half an entry.
  store(entry + 8, high);
  store(entry, low);
  store(root_ + requester.bus() * kTableEntryBytes, table->second.value() | kPresent.kMask);
  return Done{};
}

namespace {

// Functions of one bus that share a scalable context table (9.3): half of them.
constexpr unsigned kFunctionsPerTable = 128;
[[nodiscard]] std::uint16_t table_of(Requester r) {
  return static_cast<std::uint16_t>(r.bdf & ~(kFunctionsPerTable - 1));
}

}  // namespace

VtdModelDriver::Outcome VtdModelDriver::set_scalable_context(Requester requester,
                                                             std::uint64_t high,
                                                             std::uint64_t low) {
  auto [table, fresh] = context_tables_.try_emplace(table_of(requester));
  if (fresh) {
    const auto page = page_for("context tables");
    if (!page) return Failure{page.error()};
    table->second = *page;
  }
  auto [pasids, first] = pasids_.try_emplace(requester);
  if (first) {
    const auto directory = page_for("PASID directories");
    const auto entries = directory ? page_for("PASID tables") : directory;
    if (!entries) return Failure{entries.error()};
    pasids->second.table = *entries;
    store(*directory, entries->value() | kPresent.kMask);
    pasids->second.directory = *directory;
  }
  pasids->second.rid_pasid = kRidPasid.get(high);
  if (pasids->second.rid_pasid >= kPageSize / kPasidBytes)
    return Failure{std::string("a RID_PASID beyond the model's PASID tables")};
  const Gpa entry =
      table->second + requester.devfn() % kFunctionsPerTable * kContextBytes;
  store(entry + 8, high);
  store(entry, (low & ~kPageAddress.kMask) | pasids->second.directory.value());
  const bool upper = requester.devfn() >= kFunctionsPerTable;
  store(root_ + requester.bus() * kTableEntryBytes + (upper ? 8 : 0),
        table->second.value() | kPresent.kMask);
  return Done{};
}

VtdModelDriver::Outcome VtdModelDriver::set_pasid_entry(Requester requester, DomainId domain,
                                                        Gpa root) {
  constexpr std::uint64_t kFourLevels = 2;
  const Pasids& pasids = pasids_[requester];
  const Gpa entry = pasids.table + pasids.rid_pasid * kPasidBytes;
  store(entry + 16, root.value());
  store(entry + 8, domain.value);
  store(entry, kTranslationKind.of(kFirstStageOnly) | kPasidWidth.of(kFourLevels) |
                   kPresent.kMask);
  return Done{};
}

void VtdModelDriver::clear_context(Requester requester) {
  const bool scalable = is_scalable();
  const auto table = context_tables_.find(
      scalable ? table_of(requester) : static_cast<std::uint16_t>(requester.bus() << 8));
  if (table == context_tables_.end()) return;
  store(scalable ? table->second + requester.devfn() % kFunctionsPerTable * kContextBytes
                 : table->second + requester.devfn() * kTableEntryBytes,
        0);
}

void VtdModelDriver::clear_root(std::uint8_t bus) {
  store(root_ + bus * kTableEntryBytes, 0);
  if (is_scalable()) store(root_ + bus * kTableEntryBytes + 8, 0);
}

// ---- Queue

void VtdModelDriver::place(std::uint64_t index, const Words& descriptor) {
  const Gpa at = queue_ + index * descriptor_bytes();
  for (std::uint64_t word = 0; word < descriptor_bytes() / 8; ++word)
    store(at + word * 8, descriptor[word]);
}

void VtdModelDriver::enqueue(const Words& descriptor) {
  place(tail_, descriptor);
  tail_ = (tail_ + 1) % kQueueEntries;
  unit_->write_register(kIqt, 4, tail_ * descriptor_bytes());
}

bool VtdModelDriver::post(const InvalidationDescriptor& descriptor) {
  if (lose_ && lose_(descriptor)) return true;
  const std::uint64_t before = tail_;
  enqueue(descriptor.words);
  if (!kQueueError.is_set(unit_->read_register(kFsts, 4))) return true;
  // As drivers do: something harmless in its place, then let the queue go on.
  place(before, {kType.of(kWaitDescriptor)});
  unit_->write_register(kFsts, 4, kQueueError.kMask);
  return false;
}

bool VtdModelDriver::wait(const InvalidationDescriptor& descriptor) {
  const std::uint64_t flags = descriptor.words[0] & (kFence.kMask | kInterruptFlag.kMask);
  ++waits_;
  enqueue({kStatusData.of(waits_) | flags | kStatusWrite.kMask | kType.of(kWaitDescriptor),
           status_.value()});
  const auto status = memory_->physical().load64(status_);
  return status && static_cast<std::uint32_t>(*status) == waits_;
}

}  // namespace weir::replay
