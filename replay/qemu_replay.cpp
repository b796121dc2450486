// SPDX-License-Identifier: Apache-2.0
#include "replay/qemu_replay.h"

#include <bit>

#include "replay/vtd_driver_registers.h"

namespace weir::replay {
namespace {

using View = StaleCheck::View;

// Translation types of a context entry (VT-d 9.3).
constexpr std::uint64_t kSecondStage = 0;
constexpr std::uint64_t kSecondStageDeviceTlb = 1;
constexpr std::uint64_t kPassThrough = 2;

// Fault reasons (VT-d 7.1.3 and its tables).
constexpr std::uint16_t kNoWrite = 5;
constexpr std::uint16_t kNoRead = 6;
constexpr std::uint16_t kFirstOfInterrupts = 0x20;
constexpr std::uint16_t kFirstOfScalable = 0x30;
constexpr std::uint16_t kFirstStageAbsent = 0x71;
constexpr std::uint16_t kFirstStageNoWrite = 0x85;

constexpr std::uint64_t kPresumedWidth = 2;  // AW of a context that no line shows: 48 bits
// The domain of a PASID entry that no access has shown yet: of functions that only fault.
constexpr DomainId kUnshownDomain{0xfffe};

[[nodiscard]] Failure<std::string> mixed() {
  return Failure{std::string("the guest uses VT-d scalable mode and legacy mode in turn")};
}

[[nodiscard]] std::optional<std::uint8_t> page_lg2_of(std::uint64_t mask) {
  for (const std::uint8_t lg2 : {std::uint8_t{kPageLg2}, kPage2mLg2, kPage1gLg2})
    if (mask == (std::uint64_t{1} << lg2) - 1) return lg2;
  return std::nullopt;
}

// Of a first-stage entry (VT-d 9.7): what is present can be read.
[[nodiscard]] Permissions first_stage_permissions_of(std::uint64_t entry) {
  constexpr Bit<0> kHere{"P"};
  constexpr Bit<1> kWritable{"R/W"};
  if (!kHere.is_set(entry)) return Permissions::none();
  return kWritable.is_set(entry) ? Permissions::all() : Permissions::read_only();
}

// R and W of a second-stage entry (VT-d 9.8); it has no others that a DMA meets.
[[nodiscard]] Permissions permissions_of(std::uint64_t entry) {
  constexpr Bit<0> kReadable{"R"};
  constexpr Bit<1> kWritable{"W"};
  Permissions permissions = Permissions::all();
  if (!kReadable.is_set(entry)) permissions = permissions.without_read();
  if (!kWritable.is_set(entry)) permissions = permissions.without_write();
  return permissions;
}

[[nodiscard]] MappedLeaf leaf_of(const LoggedAccess& access, Permissions permissions,
                                 std::uint8_t page_lg2) {
  return {.iova = access.iova.page_base(page_lg2),
          .page_lg2 = page_lg2,
          .gpa = access.gpa.page_base(page_lg2),
          .permissions = permissions};
}

}  // namespace

Result<std::unique_ptr<QemuReplay>, std::string> QemuReplay::create(ModelMachine& machine,
                                                                    const ReplayOptions& options,
                                                                    VtdModelDriver::Mode mode,
                                                                    Report& report) {
  auto driver = VtdModelDriver::create(machine.unit(), machine.memory(), mode, options.lose);
  if (!driver) return Failure{driver.error()};
  return std::unique_ptr<QemuReplay>(
      new QemuReplay(machine, std::move(driver).value(), options, mode, report));
}

QemuReplay::Step QemuReplay::take(const QemuEvent& event) {
  line_ = event.line;
  check_.at(line_);
  return std::visit([this](const auto& what) { return on(what); }, event.what);
}

void QemuReplay::finish() {
  run_batch();
  const AccessBatch::Times& times = batch_.times();
  report_.translate_ns = static_cast<double>(times.spent.count());
  report_.median_ns = times.median_ns();
  report_.timed_accesses = times.accesses;
  report_.timed_batches = times.batches;
  report_.stats = machine_.iommu().stats();
  report_.open_windows = check_.windows();
}

void QemuReplay::run_batch() {
  if (batch_.empty()) return;
  batch_.run();
  comparison_.take(batch_);
  batch_.clear();
}

// Before the tables change: accesses that came earlier must not see it.
void QemuReplay::make_way(AddressRange<Iova> page) {
  if (page.last - page.first >= kPageSize || batch_.may_touch(page.first)) run_batch();
}

QemuReplay::Step QemuReplay::enqueue(const PendingAccess& access) {
  batch_.add(access);
  if (batch_.full()) run_batch();
  return Done{};
}

Result<QemuReplay::Known*, std::string> QemuReplay::known(Requester requester) {
  Known& found = known_[requester];
  if (found.device == nullptr) {
    const auto device = machine_.device(requester);
    if (!device) return Failure{device.error()};
    found.device = *device;
    found.source = &check_.source(requester);
  }
  return &found;
}

// ---- Accesses

QemuReplay::Step QemuReplay::on(const LoggedAccess& access) {
  const auto who = known(access.requester);
  if (!who) return Failure{who.error()};
  PendingAccess pending{.device = (*who)->device,
                        .source = (*who)->source,
                        .line = line_,
                        .requester = access.requester,
                        .iova = access.iova,
                        .gpa = access.gpa};
  switch (access.outcome) {
    case AccessOutcome::kUnremapped:
      pending.expected = Expected::kUnremapped;
      return enqueue(pending);
    case AccessOutcome::kPassThrough:
      if (auto on = driver_.start_translation(); !on) return on;
      pending.expected = Expected::kPassThrough;
      return enqueue(pending);
    case AccessOutcome::kHit:
      pending.expected = Expected::kHit;
      break;
    case AccessOutcome::kFill:
      pending.expected = Expected::kFill;
      break;
  }
  if (auto on = driver_.start_translation(); !on) return on;
  const auto lg2 = page_lg2_of(access.page_mask);
  if (!lg2) return Failure{std::string("a page of a size that no tables have")};
  const Permissions permissions = is_scalable() ? first_stage_permissions_of(access.leaf_entry)
                                                : permissions_of(access.leaf_entry);
  if (!permissions.can_read() && !permissions.can_write())
    return Failure{std::string("an access that succeeds through an entry that permits nothing")};
  pending.page_lg2 = *lg2;
  pending.access = permissions.can_read() ? Access::kRead : Access::kWrite;
  if (auto shown = show_leaf(**who, access, leaf_of(access, permissions, *lg2)); !shown)
    return shown;
  return enqueue(pending);
}

// Makes the tables say what a hit or fill shows.
QemuReplay::Step QemuReplay::show_leaf(Known& who, const LoggedAccess& access,
                                       const MappedLeaf& leaf) {
  if (auto shown = show_context(who, access); !shown) return shown;
  if (who.tables == nullptr) return Done{};  // the entry says otherwise: the comparison will tell
  const auto said = who.tables->leaves().find(access.iova);
  if (said == leaf) return Done{};
  const bool hit = access.outcome == AccessOutcome::kHit;
  if (hit && said) return Done{};
  make_way(leaf.range());
  if (said) make_way(said->range());
  report_.presumed_leaves += hit;
  ++report_.leaves_written;
  return note(who.tables->map(leaf), who.tables->domain());
}

// Where the log begins after the context entry was used first; and in scalable mode the domain.
QemuReplay::Step QemuReplay::show_context(Known& who, const LoggedAccess& access) {
  if (is_scalable()) {
    if (!who.has_context) {
      if (auto set = set_scalable_context(who, access.requester, 0, driver::kPresent.kMask); !set)
        return set;
      ++report_.presumed_contexts;
    }
    if (who.tables != nullptr && who.tables->domain() == access.domain) return Done{};
    return set_pasid_entry(who, access.requester, access.domain);
  }
  if (who.tables != nullptr || who.has_context) return Done{};
  const std::uint64_t high = driver::kContextDomain.of(access.domain.value) | kPresumedWidth;
  ++report_.presumed_contexts;
  return set_context(who, access.requester, high, driver::kPresent.kMask);
}

QemuReplay::Step QemuReplay::note(const DomainTables::Gone& gone, DomainId domain) {
  if (!gone) return Failure{"the trace needs " + gone.error()};
  for (const MappedLeaf& leaf : *gone) check_.leaf_gone(domain, leaf);
  report_.leaves_removed += gone->size();
  return Done{};
}

QemuReplay::Step QemuReplay::on(const LoggedFault& fault) {
  if (fault.reason >= kFirstOfScalable && !is_scalable()) return mixed();
  if (fault.reason >= kFirstOfInterrupts && fault.reason < kFirstOfScalable) {
    ++report_.interrupt_faults;
    return Done{};
  }
  const auto who = known(fault.requester);
  if (!who) return Failure{who.error()};
  if (auto on = driver_.start_translation(); !on) return on;
  const Access access = fault.write ? Access::kWrite : Access::kRead;
  if (auto shown = show_fault(**who, fault, access); !shown) return shown;
  return enqueue({.device = (*who)->device,
                  .source = (*who)->source,
                  .line = line_,
                  .requester = fault.requester,
                  .iova = fault.iova,
                  .code = fault.reason,
                  .access = access,
                  .expected = Expected::kFault});
}

// Makes the tables say what a fault shows.
QemuReplay::Step QemuReplay::show_fault(Known& who, const LoggedFault& fault, Access access) {
  const bool in_tables = fault.reason == kNoWrite || fault.reason == kNoRead ||
                         fault.reason == kFirstStageAbsent || fault.reason == kFirstStageNoWrite;
  if (!in_tables) return Done{};
  if (is_scalable() && who.tables == nullptr) {
    if (!who.has_context) {
      if (auto set = set_scalable_context(who, fault.requester, 0, driver::kPresent.kMask); !set)
        return set;
      ++report_.presumed_contexts;
    }
    if (auto set = set_pasid_entry(who, fault.requester, kUnshownDomain); !set) return set;
  }
  DomainTables* const tables = who.tables;
  if (tables == nullptr) return Done{};
  const auto said = tables->leaves().find(fault.iova);
  const bool absent = fault.reason == kFirstStageAbsent;
  if (!said || (!absent && !said->permissions.allows(access))) return Done{};
  make_way(said->range());
  return note(absent ? tables->unmap(said->range()) : tables->forbid(fault.iova, access),
              tables->domain());
}

QemuReplay::Step QemuReplay::on(const FaultRecordWritten& record) {
  run_batch();
  comparison_.take_record(line_, record, driver_.fault_record(record.index));
  return Done{};
}

// ---- Contexts

QemuReplay::Step QemuReplay::on(const ContextSeen& seen) {
  const auto who = known(seen.requester);
  if (!who) return Failure{who.error()};
  if ((*who)->has_context && (*who)->high == seen.high && (*who)->low == seen.low) return Done{};
  if (is_scalable()) return set_scalable_context(**who, seen.requester, seen.high, seen.low);
  return set_context(**who, seen.requester, seen.high, seen.low);
}

Result<DomainTables*, std::string> QemuReplay::tables_for(std::uint64_t high, std::uint64_t low) {
  // A width that no unit has faults before any table is read, so any tables will do.
  const std::uint64_t width = driver::kAddressWidth.get(high);
  const unsigned levels = width == 1 ? 3 : width == 3 ? 5 : 4;
  const auto domain = static_cast<std::uint32_t>(driver::kContextDomain.get(high));
  auto& tables = tables_[{domain, driver::kPageAddress.in_place(low), levels}];
  if (tables == nullptr) {
    const auto root = machine_.memory().allocate_page();
    if (!root) return Failure{std::string("the trace needs more page tables than there is room")};
    tables = std::make_unique<DomainTables>(
        machine_.memory(), DomainId{domain}, *root, levels,
        is_scalable() ? DomainTables::Stage::kFirst : DomainTables::Stage::kSecond);
  }
  return tables.get();
}

QemuReplay::Step QemuReplay::set_context(Known& who, Requester requester, std::uint64_t high,
                                         std::uint64_t low) {
  run_batch();
  who.has_context = true;
  who.high = high;
  who.low = low;
  who.tables = nullptr;
  View view;
  view.domain = DomainId{static_cast<std::uint32_t>(driver::kContextDomain.get(high))};
  const std::uint64_t type = driver::kTranslationType.get(low);
  const bool present = driver::kPresent.is_set(low);
  if (present && type == kPassThrough) view.kind = View::Kind::kPassThrough;
  std::optional<Gpa> root;
  if (present && (type == kSecondStage || type == kSecondStageDeviceTlb)) {
    const auto tables = tables_for(high, low);
    if (!tables) return Failure{tables.error()};
    who.tables = *tables;
    root = who.tables->root();
    view.kind = View::Kind::kTranslated;
    view.tree = &who.tables->said();
  }
  if (view.kind == View::Kind::kAbsent) view.domain = {};
  check_.set_view(*who.source, view);
  ++report_.contexts_written;
  return driver_.set_context(requester, high, low, root);
}

QemuReplay::Step QemuReplay::set_scalable_context(Known& who, Requester requester,
                                                  std::uint64_t high, std::uint64_t low) {
  run_batch();
  who.has_context = true;
  who.high = high;
  who.low = low;
  ++report_.contexts_written;
  return driver_.set_scalable_context(requester, high, low);
}

// Whose tables lie where is not shown: a domain has those that it always had.
QemuReplay::Step QemuReplay::set_pasid_entry(Known& who, Requester requester, DomainId domain) {
  run_batch();
  const bool was_presumed = who.tables != nullptr && who.tables->domain() == kUnshownDomain;
  const auto tables = tables_for(driver::kContextDomain.of(domain.value) | kPresumedWidth, 0);
  if (!tables) return Failure{tables.error()};
  who.tables = *tables;
  check_.set_view(*who.source, {.kind = View::Kind::kTranslated,
                                .domain = domain,
                                .tree = &who.tables->said()});
  if (auto set = driver_.set_pasid_entry(requester, domain, who.tables->root()); !set) return set;
  if (!was_presumed) return Done{};
  // The guest never had it otherwise: what the unit kept of our presumption has to go.
  const InvalidationDescriptor flush = flush_of_all_pasid_entries();
  if (auto on = driver_.start_queue(); !on) return on;
  if (!driver_.post(flush) || !driver_.wait({}))
    return Failure{std::string("the unit did not forget a PASID entry")};
  check_.posted(*flush_of(flush));
  check_.completed();
  return Done{};
}

void QemuReplay::clear_context(Known& who, Requester requester) {
  who.has_context = false;
  who.tables = nullptr;
  check_.set_view(*who.source, {});
  driver_.clear_context(requester);
}

QemuReplay::Step QemuReplay::on(const ContextAbsent& absent) {
  const auto who = known_.find(absent.requester);
  if (who == known_.end()) return Done{};
  run_batch();
  clear_context(who->second, absent.requester);
  return Done{};
}

QemuReplay::Step QemuReplay::on(const RootAbsent& absent) {
  run_batch();
  for (auto& [requester, who] : known_)
    if (requester.bus() == absent.bus) clear_context(who, requester);
  driver_.clear_root(absent.bus);
  return Done{};
}

// ---- The unit

QemuReplay::Step QemuReplay::on(const InvalidationDescriptor& descriptor) {
  run_batch();
  if (is_scalable_descriptor(descriptor.type()) && !is_scalable()) return mixed();
  if (auto on = driver_.start_queue(); !on) return on;
  if (descriptor.type() == kWaitDescriptor) {
    const bool completed = driver_.wait(descriptor);
    if (completed) check_.completed();
    comparison_.take_wait(line_, completed);
    return Done{};
  }
  if (!driver_.post(descriptor)) {
    comparison_.take_refusal(line_, descriptor);
    return Done{};
  }
  // Nothing changed since it was queued, so this is early enough.
  if (const auto flush = flush_of(descriptor)) check_.posted(*flush);
  return Done{};
}

QemuReplay::Step QemuReplay::on(const RegisterWrite& write) {
  run_batch();
  const auto written = driver_.write_register(write);
  if (!written) return Failure{written.error()};
  if (const std::optional<Flush>& flush = *written) {
    // ICC and IVT are clear again, or the driver would have failed: nothing is in flight here.
    check_.posted(*flush);
    check_.completed();
  }
  return Done{};
}

QemuReplay::Step QemuReplay::on(const RootPointerSet& set) {
  if (set.scalable != is_scalable()) return mixed();
  // With CAP.ESRTPS the command invalidates every context and translation (10.4.4).
  check_.posted({.of = Flush::Of::kContexts});
  check_.posted({.of = Flush::Of::kTranslations});
  check_.completed();
  return Done{};
}

QemuReplay::Step QemuReplay::on(const IotlbReset& reset) {
  report_.traced_capacity_resets += reset.for_lack_of_room;
  return Done{};
}

QemuReplay::Step QemuReplay::on(const UnitReset&) {
  run_batch();
  (void)machine_.iommu().reset();  // nothing is in flight between batches
  auto driver = VtdModelDriver::create(machine_.unit(), machine_.memory(), mode_, lose_);
  if (!driver) return Failure{driver.error()};
  driver_ = std::move(driver).value();
  check_.clear();
  for (auto& [requester, who] : known_) {
    who.has_context = false;
    who.tables = nullptr;
  }
  tables_.clear();
  return Done{};
}

}  // namespace weir::replay
