// SPDX-License-Identifier: Apache-2.0
#include "replay/ftrace_replay.h"

#include "replay/vtd_driver_registers.h"

namespace weir::replay {
namespace {

constexpr std::uint64_t kWidth = 2;  // AW of every context: 48 bits
constexpr unsigned kLevels = 4;

[[nodiscard]] bool is_aligned(std::uint64_t value, unsigned lg2) {
  return (value & ((std::uint64_t{1} << lg2) - 1)) == 0;
}

// The largest page that fits at the beginning of what is left of a map, as Linux chooses.
[[nodiscard]] std::uint8_t page_lg2_of(Iova iova, Gpa gpa, std::uint64_t left) {
  for (const std::uint8_t lg2 : {kPage1gLg2, kPage2mLg2})
    if (is_aligned(iova.value() | gpa.value(), lg2) && left >= std::uint64_t{1} << lg2) return lg2;
  return kPageLg2;
}

[[nodiscard]] Failure<std::string> not_aligned() {
  return Failure{std::string("a range that is not of whole 4 KiB pages")};
}

// Device-selective context flush (VT-d 6.5.2.1), as Linux posts it after changing a context entry.
[[nodiscard]] InvalidationDescriptor context_flush(DomainId domain, Requester requester) {
  return {.words = {std::uint64_t{requester.bdf} << 32 | std::uint64_t{domain.value} << 16 |
                    3U << 4 | kContextDescriptor}};
}

}  // namespace

Result<std::unique_ptr<FtraceReplay>, std::string> FtraceReplay::create(
    ModelMachine& machine, const ReplayOptions& options, VtdModelDriver::Mode mode,
    Report& report) {
  auto driver = VtdModelDriver::create(machine.unit(), machine.memory(), mode, options.lose);
  if (!driver) return Failure{driver.error()};
  if (auto on = driver->start_queue(); !on) return Failure{on.error()};
  if (auto on = driver->start_translation(); !on) return Failure{on.error()};
  return std::unique_ptr<FtraceReplay>(
      new FtraceReplay(machine, std::move(driver).value(), mode, report));
}

FtraceReplay::Step FtraceReplay::take(const NamedEvent& event, const FtraceEvent* next) {
  now_ = &event;
  check_.at(event.event.line);
  next_ = next;
  if (auto done = std::visit([this](const auto& what) { return on(what); }, event.event.what);
      !done)
    return done;
  return access_due();
}

FtraceReplay::Step FtraceReplay::finish() {
  if (guest_.maps == 0)
    return Failure{std::string("no iommu:map event in it, so nothing to replay")};
  run_batch();
  const AccessBatch::Times& times = batch_.times();
  report_.translate_ns = static_cast<double>(times.spent.count());
  report_.median_ns = times.median_ns();
  report_.timed_accesses = times.accesses;
  report_.timed_batches = times.batches;
  report_.stats = machine_.iommu().stats();
  report_.open_windows = check_.windows();
  return Done{};
}

FtraceReplay::Step FtraceReplay::on(const LostEvents&) {
  ++guest_.lost_events;
  return Done{};
}

// ---- Domains and devices

Result<FtraceReplay::Domain*, std::string> FtraceReplay::domain(DomainId id) {
  Domain& found = domains_[id.value];
  if (found.tables == nullptr) {
    const auto root = machine_.memory().allocate_page();
    if (!root) return Failure{std::string("the trace needs more page tables than there is room")};
    found.tables = std::make_unique<DomainTables>(
        machine_.memory(), id, *root, kLevels,
        is_scalable() ? DomainTables::Stage::kFirst : DomainTables::Stage::kSecond);
  }
  return &found;
}

Result<FtraceReplay::Function*, std::string> FtraceReplay::function(Requester requester) {
  Function& found = functions_[requester];
  if (found.device == nullptr) {
    const auto device = machine_.device(requester);
    if (!device) return Failure{device.error()};
    found.device = *device;
    found.source = &check_.source(requester);
  }
  return &found;
}

FtraceReplay::Step FtraceReplay::write_context(Requester requester, DomainTables& tables) {
  if (!is_scalable()) {
    const std::uint64_t high =
        driver::kContextDomain.of(tables.domain().value) | driver::kAddressWidth.of(kWidth);
    return driver_.set_context(requester, high, driver::kPresent.kMask, tables.root());
  }
  if (auto set = driver_.set_scalable_context(requester, 0, driver::kPresent.kMask); !set)
    return set;
  return driver_.set_pasid_entry(requester, tables.domain(), tables.root());
}

FtraceReplay::Step FtraceReplay::attach(Requester requester, DomainId id) {
  const auto who = function(requester);
  if (!who) return Failure{who.error()};
  if ((*who)->home == id) return Done{};
  const auto to = domain(id);
  if (!to) return Failure{to.error()};
  if (!(*to)->device) (*to)->device = requester;
  const std::optional<DomainId> before = (*who)->home;
  run_batch();
  DomainTables& tables = *(*to)->tables;
  check_.set_view(
      *(*who)->source,
      {.kind = StaleCheck::View::Kind::kTranslated, .domain = id, .tree = &tables.said()});
  (*who)->home = id;
  ++report_.contexts_written;
  if (auto set = write_context(requester, tables); !set) return set;
  if (!before) return Done{};
  if (const auto old = domains_.find(before->value); old->second.device == requester)
    old->second.device.reset();
  // The guest flushed when it changed the entry, which its trace shows before the attachment.
  ++guest_.flushes_added;
  if (auto done = post(context_flush(*before, requester)); !done) return done;
  if (is_scalable())
    if (auto done = post(flush_of_all_pasid_entries()); !done) return done;
  return complete();
}

FtraceReplay::Step FtraceReplay::on(const DeviceAttached& attached) {
  if (!now_->domain || !attached.requester || attached.requester->segment != 0) return Done{};
  return attach(*attached.requester, *now_->domain);
}

Result<Requester, std::string> FtraceReplay::requester_in(DomainId id,
                                                          std::optional<Requester> wanted) {
  if (wanted && wanted->segment == 0) {
    const auto who = function(*wanted);
    if (!who) return Failure{who.error()};
    if (!(*who)->home) {
      ++report_.presumed_contexts;
      if (auto done = attach(*wanted, id); !done) return Failure{done.error()};
    }
    if ((*who)->home == id) return *wanted;
  }
  const auto in = domain(id);
  if (!in) return Failure{in.error()};
  if (!(*in)->device) {
    while (functions_.contains(Requester::from_sid(next_made_up_))) --next_made_up_;
    ++report_.presumed_contexts;
    if (auto done = attach(Requester::from_sid(next_made_up_), id); !done)
      return Failure{done.error()};
  }
  return *(*in)->device;
}

// ---- Maps and unmaps

FtraceReplay::Step FtraceReplay::remove(Domain& from, const AddressRange<Iova>& range) {
  run_batch();
  auto gone = from.tables->unmap(range);
  if (!gone) return Failure{"the trace needs " + gone.error()};
  for (const MappedLeaf& leaf : *gone) check_.leaf_gone(from.tables->domain(), leaf);
  report_.leaves_removed += gone->size();
  return Done{};
}

FtraceReplay::Step FtraceReplay::write_leaves(Domain& to, const GuestMap& map) {
  const std::uint64_t size = map.range.last - map.range.first + 1;
  std::uint64_t leaves = 0;
  for (std::uint64_t at = 0; at != size;) {
    const MappedLeaf leaf{.iova = map.range.first + at,
                          .page_lg2 = page_lg2_of(map.range.first + at, map.gpa + at, size - at),
                          .gpa = map.gpa + at,
                          .permissions = Permissions::all()};
    if (++leaves > kMostLeavesPerMap)
      return Failure{std::string("a map of more pages than a replay takes")};
    const auto gone = to.tables->map(leaf);
    if (!gone) return Failure{"the trace needs " + gone.error()};
    for (const MappedLeaf& old : *gone) check_.leaf_gone(to.tables->domain(), old);
    report_.leaves_removed += gone->size();
    at += std::uint64_t{1} << leaf.page_lg2;
  }
  report_.leaves_written += leaves;
  return Done{};
}

FtraceReplay::Step FtraceReplay::on(const GuestMap& map) {
  ++guest_.maps;
  const std::uint64_t size = map.range.last - map.range.first + 1;
  if (!is_aligned(map.range.first.value() | map.gpa.value() | size, kPageLg2)) return not_aligned();
  if (map.gpa.value() >= ModelMemory::kTables.value() ||
      size > ModelMemory::kTables.value() - map.gpa.value())
    return Failure{std::string("a map to an address beyond the model guest's memory")};
  guest_.named_by_flush += now_->by == NamedBy::kFlush;
  guest_.named_by_device += now_->by == NamedBy::kDevice;
  guest_.named_by_attachment += now_->by == NamedBy::kAttachment;
  guest_.unnamed += now_->by == NamedBy::kNothing;
  const DomainId id = now_->domain.value_or(kModelDomain);
  const auto to = domain(id);
  if (!to) return Failure{to.error()};
  const auto replaced = (*to)->live.take(map.range);
  guest_.collisions += !replaced.empty();
  for (const AddressRange<Iova>& range : replaced)
    if (auto done = remove(**to, range); !done) return done;
  // Accesses that came earlier must not see the leaf: to this page they expect none.
  run_batch();
  (*to)->live.add(map.range);
  due_.emplace(now_->settled, Due{.range = map.range,
                                  .domain = id,
                                  .requester = now_->requester,
                                  .access = now_->access,
                                  .line = now_->event.line});
  return write_leaves(**to, map);
}

// What nothing names belongs to the only domain that has it mapped; or, of several, to the one that
// was flushed as a whole last: a domain is emptied after its last device left, which flushes it.
DomainId FtraceReplay::domain_of_unmap(const GuestUnmap& unmap) {
  guest_.named_by_flush += now_->by == NamedBy::kFlush;
  guest_.named_by_device += now_->by == NamedBy::kDevice;
  guest_.named_by_attachment += now_->by == NamedBy::kAttachment;
  if (now_->domain) return *now_->domain;
  std::optional<DomainId> found;
  unsigned count = 0;
  for (const auto& [id, domain] : domains_) {
    if (!domain.live.contains(unmap.range.first)) continue;
    found = DomainId{id};
    ++count;
  }
  if (count > 1 && flushed_whole_) {
    const auto emptied = domains_.find(flushed_whole_->value);
    if (emptied != domains_.end() && emptied->second.live.contains(unmap.range.first)) {
      found = flushed_whole_;
      count = 1;
    }
  }
  if (count == 1 && *found != kModelDomain) {
    ++guest_.named_by_tables;
    return *found;
  }
  ++guest_.unnamed;
  return kModelDomain;
}

FtraceReplay::Step FtraceReplay::on(const GuestUnmap& unmap) {
  ++guest_.unmaps;
  if (!is_aligned(unmap.range.first.value() | (unmap.range.last - unmap.range.first + 1), kPageLg2))
    return not_aligned();
  const DomainId id = domain_of_unmap(unmap);
  const auto from = domains_.find(id.value);
  const auto parts = from == domains_.end() || unmap.unmapped_bytes == 0
                         ? std::vector<AddressRange<Iova>>{}
                         : from->second.live.take(unmap.range);
  guest_.unmapped_nothing += parts.empty();
  if (parts.empty()) return Done{};
  for (const AddressRange<Iova>& part : parts)
    if (auto done = remove(from->second, part); !done) return done;
  const auto who = requester_in(id, now_->requester);
  if (!who) return Failure{who.error()};
  if (from->second.unflushed.size() == kMostUnflushed) {
    guest_.left_out += 2;
    return Done{};
  }
  from->second.unflushed.push_back({parts.front().first, *who});
  ++guest_.before_flush;
  return access(id, *who, parts.front().first, Access::kRead, now_->event.line);
}

}  // namespace weir::replay
