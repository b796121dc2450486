// SPDX-License-Identifier: Apache-2.0
#include "iommu/iommu.h"

#include <algorithm>
#include <atomic>
#include <iterator>

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
  core_->routes.use(std::move(parsed).value());
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

Result<Done, std::string> Iommu::declare_pool(PoolId pool, const Window& window) {
  if (auto why = why_no_window(window)) return Failure{std::move(*why)};
  const RecordedScope scope(
      core_->recorder,
      {.what = What::kDeclarePool,
       .words = {pool.value, window.range.first.value(), window.range.last.value(),
                 window.to.value(), window.rights.bits()}});
  core_->routes.declare(pool, window);
  return Done{};
}

Result<std::unique_ptr<DmaPort>, std::string> Iommu::attach(const Location& location,
                                                            std::optional<PoolId> pool) {
  return attached(core_->routes.attach(location, pool, std::nullopt));
}

Result<std::unique_ptr<DmaPort>, std::string> Iommu::attach(const Topology& topology,
                                                            FunctionId function) {
  return attached(core_->routes.attach(topology, function));
}

Result<std::unique_ptr<DmaPort>, std::string> Iommu::attached(
    Result<std::unique_ptr<core::Port>, std::string> port) {
  if (!port) return Failure{std::move(port).error()};
  // Nobody else has the port yet.
  const Location& location = (*port)->location;
  const std::optional<PoolId> pool = (*port)->pool;
  const Requester alias = location.alias.value_or(location.function);
  const RecordedScope scope(
      core_->recorder,
      {.what = What::kAttach,
       .requester = location.function,
       .words = {pool ? pool->value + std::uint64_t{1} : 0,
                 std::uint64_t{alias.segment} << 16 | alias.bdf},
       .data = std::as_bytes(std::span(location.bridges))});
  core_->log.write(LogLevel::kInfo, LogTopic::kRoute, [&] {
    auto& slot = core_->bursts.slot();
    core_->bursts.enter(slot);
    std::string line = core::name_of((*port)->number()) + core::to_words((*port)->route());
    core_->leave(slot);
    return line;
  });
  return std::make_unique<DmaPort>(std::move(port).value());
}

Change Iommu::follow(const Topology& topology, std::vector<std::string>* refused) {
  if (core_->recorder != nullptr) core_->recorder->on_unrecordable("a machine that changes");
  std::vector<std::string> sentences;
  core::Routes::Serials serials = core_->routes.follow(topology, sentences);
  for (const std::string& sentence : sentences)
    core_->log.write(LogLevel::kWarning, LogTopic::kRoute, [&] { return sentence; });
  if (refused != nullptr) *refused = std::move(sentences);
  return change_for(std::move(serials));
}

void Iommu::poll() {
  const RecordedScope scope(core_->recorder, {.what = What::kPoll});
  core_->poll();
}

Change Iommu::change_for(std::vector<std::uint64_t> serials) {
  std::erase(serials, 0);
  Change change;
  if (serials.empty()) return change;
  // Once complete, always: tickets that were merged are coarser than what they stand for.
  change.settled_ = [core = core_.get(), serials = std::move(serials),
                     done = std::make_shared<std::atomic<bool>>()] {
    // Release and acquire: whoever hears of it sees what the one that asked saw.
    if (done->load(std::memory_order_acquire)) return true;
    const bool settled =
        std::ranges::all_of(serials, [&](std::uint64_t s) { return core->tracker.settled(s); });
    if (settled) done->store(true, std::memory_order_release);
    return settled;
  };
  return change;
}

Change Iommu::change_memory(std::shared_ptr<const GuestMemory> memory,
                            std::shared_ptr<const pagetables::HostMap> host_map) {
  const RecordedScope scope(core_->recorder, {.what = What::kMemory});
  return change_for({core_->change_memory(std::move(memory), std::move(host_map))});
}

Change Iommu::host_map_changed(AddressRange<Gpa> range) {
  const RecordedScope scope(core_->recorder, {.what = What::kHostMapChanged,
                                              .words = {range.first.value(), range.last.value()}});
  return change_for({core_->host_map_changed(range)});
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
  const iotlb::Invalidation what{.scope = iotlb::Scope::kRequester,
                                 .requester = core_->requester_of(function)};
  core_->books.invalidation(what, {});
  core_->device_tlbs.reset(function);
  return change_for({core_->tracker.issue(std::nullopt, what)});
}

Result<Change, std::string> Iommu::apply(const Transition& transition) {
  const std::string line = core_->recorder != nullptr ? to_line(transition) : std::string();
  RecordedScope scope(core_->recorder,
                      {.what = What::kTransition, .data = std::as_bytes(std::span(line))});
  auto serials = core_->routes.apply(transition);
  scope.answer({serials ? 1U : 0U});
  if (!serials) return Failure{std::move(serials).error()};
  return change_for(std::move(serials).value());
}

Change Iommu::reset() {
  const RecordedScope scope(core_->recorder, {.what = What::kReset});
  return reset_to(std::nullopt);
}

Result<Change, TableError> Iommu::reset(std::span<const FirmwareTable> tables) {
  Coverage all;
  for (const FirmwareTable& table : tables) {
    auto parsed = table.parser->parse(table.bytes);
    if (!parsed) return Failure{parsed.error()};
    std::ranges::move(parsed->units, std::back_inserter(all.units));
  }
  if (core_->recorder != nullptr) core_->recorder->on_unrecordable("a reset with other tables");
  return reset_to(std::move(all));
}

Change Iommu::reset_to(std::optional<Coverage> tables) {
  core_->log.write(LogLevel::kInfo, LogTopic::kReset, [] { return "machine reset"; });
  core_->device_tlbs.reset_all();
  core::Gone gone = core_->routes.reset(std::move(tables));
  for (const auto& unit : core_->units) unit->reset();
  const iotlb::Invalidation everything{.scope = iotlb::Scope::kAll};
  const std::uint64_t serial = core_->tracker.issue(std::nullopt, everything);
  core_->retire(serial, std::move(gone));
  return change_for({serial});
}

RouteView Iommu::route_of(const DmaPort& port) const { return core_->view(*port.port_); }

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
