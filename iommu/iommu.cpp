// SPDX-License-Identifier: Apache-2.0
#include "iommu/iommu.h"

#include <atomic>

#include "iommu/core.h"

namespace weir {

using What = RecordedCall::What;

bool Change::complete() const { return settled_ == nullptr || settled_(); }

Iommu::Iommu(IommuConfig config) : core_(std::make_unique<core::IommuCore>(std::move(config))) {}
Iommu::~Iommu() = default;

Result<Done, TableError> Iommu::use_tables(const TableParser& parser,
                                           std::span<const std::byte> table) {
  auto parsed = parser.parse(table);
  if (!parsed) return Failure{parsed.error()};
  for (UnitCoverage& unit : parsed->units) core_->coverage.units.push_back(std::move(unit));
  if (core_->recorder != nullptr) core_->recorder->on_table(table);
  return Done{};
}

UnitHost& Iommu::prepare_unit(std::uint64_t register_base) {
  const UnitId id{static_cast<std::uint32_t>(core_->units.size())};
  core_->units.push_back(
      std::make_unique<core::UnitCore>(*core_, id, register_base, core_->caches));
  return *core_->units.back();
}

void Iommu::install_unit(UnitHost& host, std::unique_ptr<Unit> unit) {
  core_->units[host.id().value]->unit = std::move(unit);
}

// 2. Route: fixed here, from the parse of the bytes that the guest reads and from nothing else.
Result<std::unique_ptr<DmaPort>, std::string> Iommu::attach(const Location& location) {
  const UnitCoverage* covering = nullptr;
  const UnitCoverage* rest = nullptr;
  for (const UnitCoverage& unit : core_->coverage.units) {
    if (unit.segment != location.function.segment) continue;
    if (unit.rest_of_segment) {
      if (rest != nullptr) return Failure{std::string("two units cover the rest of the segment")};
      rest = &unit;
    }
    if (!names(unit, location)) continue;
    if (covering != nullptr) return Failure{std::string("the function is covered by two units")};
    covering = &unit;
  }
  if (covering == nullptr) covering = rest;

  core::UnitCore* unit = nullptr;
  if (covering != nullptr) {
    for (const auto& candidate : core_->units)
      if (candidate->register_base() == covering->register_base) unit = candidate.get();
    if (unit == nullptr)
      return Failure{std::string("the tables name a unit for the function that was not added")};
  }
  auto port = std::make_unique<core::Port>(*core_, location.function, unit);
  if (!core_->add_port(*port)) return Failure{std::string("the function is attached already")};
  const RecordedScope scope(
      core_->recorder, {.what = What::kAttach,
                        .requester = location.function,
                        .data = std::as_bytes(std::span(location.bridges))});
  core_->log.write(LogLevel::kInfo, LogTopic::kRoute, [&] {
    return core::name_of(location.function) +
           (unit == nullptr ? " bypasses" : " is behind unit " + std::to_string(unit->id().value));
  });
  return std::make_unique<DmaPort>(std::move(port));
}

void Iommu::poll() {
  const RecordedScope scope(core_->recorder, {.what = What::kPoll});
  core_->poll();
}

Change Iommu::change_for(std::uint64_t serial) {
  Change change;
  if (serial != 0)
    // Once complete, always: tickets that were merged are coarser than what they stand for.
    change.settled_ = [core = core_.get(), serial, done = std::make_shared<std::atomic<bool>>()] {
      // Release and acquire: whoever hears of it sees what the one that asked saw.
      if (done->load(std::memory_order_acquire)) return true;
      const bool settled = core->tracker.settled(serial);
      if (settled) done->store(true, std::memory_order_release);
      return settled;
    };
  return change;
}

Change Iommu::change_memory(std::shared_ptr<const GuestMemory> memory,
                            std::shared_ptr<const pagetables::HostMap> host_map) {
  const RecordedScope scope(core_->recorder, {.what = What::kMemory});
  return change_for(core_->change_memory(std::move(memory), std::move(host_map)));
}

Change Iommu::host_map_changed(AddressRange<Gpa> range) {
  const RecordedScope scope(core_->recorder, {.what = What::kHostMapChanged,
                                              .words = {range.first.value(), range.last.value()}});
  return change_for(core_->host_map_changed(range));
}

Change Iommu::set_bus_master(Requester function, bool on) {
  const RecordedScope scope(core_->recorder,
                            {.what = What::kBusMaster, .requester = function, .words = {on}});
  if (core::Port* port = core_->find_port(function)) {
    // Sequentially consistent, both: before the epoch of the drain below.
    port->bus_master.store(on, std::memory_order_seq_cst);
    port->open.store(on && !port->recorded, std::memory_order_seq_cst);
  }
  return on ? Change{} : end_requests(function);
}

Change Iommu::reset_function(Requester function) {
  const RecordedScope scope(core_->recorder,
                            {.what = What::kResetFunction, .requester = function});
  return end_requests(function);
}

Change Iommu::end_requests(Requester function) {
  const iotlb::Invalidation what{.scope = iotlb::Scope::kRequester, .requester = function};
  core_->books.invalidation(what, {});
  core_->device_tlbs.reset(function);
  return change_for(core_->tracker.issue(std::nullopt, what));
}

Change Iommu::reset() {
  const RecordedScope scope(core_->recorder, {.what = What::kReset});
  core_->log.write(LogLevel::kInfo, LogTopic::kReset, [] { return "machine reset"; });
  core_->device_tlbs.reset_all();
  for (const auto& unit : core_->units) unit->reset();
  const iotlb::Invalidation everything{.scope = iotlb::Scope::kAll};
  return change_for(core_->tracker.issue(std::nullopt, everything));
}

namespace {

[[nodiscard]] Failure<Fault> not_attached(Requester requester, Msi msi) {
  return Failure{Fault{.request = {.requester = requester,
                                   .iova = Iova(msi.address),
                                   .size = sizeof msi.data,
                                   .access = Access::kWrite},
                       .reason = FaultReason::kDetached}};
}

}  // namespace

Result<RemappedInterrupt, Fault> Iommu::resolve_msi(Requester requester, std::uint64_t address,
                                                    std::uint32_t data) {
  const core::Port* port = core_->find_port(requester);
  if (port == nullptr) return not_attached(requester, {address, data});
  RecordedScope scope(core_->recorder, {.what = What::kResolveMsi,
                                        .requester = requester,
                                        .words = {address, data}});
  auto resolved = core::resolve_interrupt(*port, {address, data});
  if (resolved)
    scope.answer({1, resolved->msi.address, resolved->msi.data});
  else
    scope.answer({0, static_cast<std::uint64_t>(resolved.error().reason)});
  return resolved;
}

Result<Done, Fault> Iommu::send_msi(Requester requester, Msi msi) {
  core::Port* port = core_->find_port(requester);
  if (port == nullptr) return not_attached(requester, msi);
  RecordedScope scope(core_->recorder, {.what = What::kSendMsi,
                                        .requester = requester,
                                        .words = {msi.address, msi.data}});
  auto sent = core::send_interrupt(*port, msi);
  scope.answer({sent ? 1U : 0U});
  return sent;
}

bool Iommu::revoke(std::uint64_t pin) {
  const RecordedScope scope(core_->recorder, {.what = What::kPinEnd, .words = {pin}});
  return core_->end_pin(pin);
}

Stats Iommu::stats() const {
  const auto sum = [&](core::Count what) {
    return core_->bursts.sum(static_cast<std::size_t>(what));
  };
  Stats stats;
  for (std::size_t i = 0; i < kOutcomeCount; ++i) stats.outcomes[i] = core_->bursts.sum(i);
  stats.walks = sum(core::Count::kWalks);
  stats.references = sum(core::Count::kReferences);
  stats.fills = sum(core::Count::kFills);
  stats.refused_fills = sum(core::Count::kRefusedFills);
  stats.evictions = sum(core::Count::kEvictions);
  stats.context_reads = sum(core::Count::kContextReads);
  stats.exposed = sum(core::Count::kExposed);
  core_->books.add_to(stats);
  const iotlb::FlushTracker::Waits waits = core_->tracker.waits();
  stats.wait_time = waits.together;
  stats.longest_wait = waits.longest;
  return stats;
}

}  // namespace weir
