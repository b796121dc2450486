// SPDX-License-Identifier: Apache-2.0
#include "plugs/vfio_user/machine.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <map>
#include <utility>

#include "plugs/vfio_user/amdvi_function.h"
#include "plugs/vfio_user/bar_layout.h"
#include "plugs/vfio_user/viommu_function.h"
#include "plugs/vfio_user/window_function.h"
#include "replay/trace_recorder.h"
#include "vendors/amdvi/ivrs.h"
#include "vendors/amdvi/unit.h"
#include "vendors/virtio_iommu/unit.h"
#include "vendors/virtio_iommu/viot.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/unit.h"

namespace weir::vfio_user {
namespace {

[[nodiscard]] std::string name_of(Requester function) {
  return std::to_string(function.device()) + "." + std::to_string(function.function());
}

// Unit registers answer 4 and 8 bytes; of a narrower read, the part of the 4 around it.
template <typename Unit>
[[nodiscard]] std::uint64_t read_unit(Unit& unit, std::uint64_t offset, unsigned size) {
  if (size >= 4) return unit.read_register(offset, size);
  return unit.read_register(offset & ~std::uint64_t{3}, 4) >> 8 * (offset & 3);
}

}  // namespace

struct Machine::State final : weir::InterruptSink {
  explicit State(MachineOptions from) : options(std::move(from)) {}

  [[nodiscard]] std::uint64_t window_bytes() const {
    return options.front_end == FrontEnd::kVtd ? vtd::Unit::kRegisterBytes
                                               : amdvi::Unit::kRegisterBytes;
  }
  [[nodiscard]] bool has_window() const {
    return options.front_end == FrontEnd::kVtd || options.front_end == FrontEnd::kAmdvi;
  }
  [[nodiscard]] std::uint64_t expected_base(Requester holder) const;
  [[nodiscard]] const TableParser& parser() const;
  [[nodiscard]] Result<Done, std::string> take_given_table();
  [[nodiscard]] Coverage coverage() const;
  [[nodiscard]] std::vector<Requester> covered() const;

  [[nodiscard]] Result<Done, std::string> make_recorder();
  // Stands still while something is being recorded.
  [[nodiscard]] const Clock& clock() const {
    return recorder ? recorder->clock() : static_cast<const Clock&>(steady);
  }
  // The check is to judge this unit.
  void watch(weir::Unit& unit) {
    if (check) check->watch(unit, [this] { return translating(); });
  }
  [[nodiscard]] Result<Done, std::string> build_table();
  [[nodiscard]] Result<Done, std::string> add_unit();
  [[nodiscard]] Result<Done, std::string> add_devices();
  [[nodiscard]] Result<Done, std::string> serve(Requester function, std::string name,
                                                std::unique_ptr<PciFunction> served);
  [[nodiscard]] std::unique_ptr<PciFunction> make_window();
  [[nodiscard]] Result<Done, std::string> add_second_unit();

  void reset();
  [[nodiscard]] bool reset_settled() const {
    return server->reset_settled() && machine_reset.complete();
  }

  [[nodiscard]] bool translating() const;
  [[nodiscard]] static bool translates(vtd::Unit& unit);

  void on_device_msi(Requester requester, Msi msi) override {
    if (FunctionHost* host = server->host_of(requester)) host->send_msi(msi);
  }
  void on_unit_msi(UnitId unit, Msi msi) override;

  MachineOptions options;
  std::uint64_t register_base = 0;
  std::uint64_t second_base = 0;
  std::vector<std::byte> table;
  std::vector<Connection> connections;
  std::vector<Requester> carriers;  // of the unit's messages

  SteadyClock steady;
  std::unique_ptr<replay::TraceRecorder> recorder;
  std::optional<replay::LiveCheck> check;
  std::optional<Iommu> iommu;
  vtd::Unit* vtd = nullptr;
  vtd::Unit* second_vtd = nullptr;
  amdvi::Unit* amdvi = nullptr;
  std::unique_ptr<ViommuFunction> viommu;  // until it is served
  std::optional<Server> server;            // before the Iommu, as it ends

  virtio::Device* viommu_device = nullptr;
  std::optional<std::uint64_t> placed;
  std::optional<std::uint64_t> second_placed;
  bool was_translating = false;
  Change machine_reset;
  // Relaxed: a number for people.
  std::atomic<std::uint64_t> lost_unit_messages{0};
};

std::vector<Requester> Machine::State::covered() const {
  std::vector<Requester> all;
  for (const MachineDevice& device : options.devices)
    if (!device.bypass) all.push_back(device.function);
  return all;
}

std::uint64_t Machine::State::expected_base(Requester holder) const {
  // In the order of functions, then of BARs.
  std::map<std::pair<Requester, unsigned>, std::uint64_t> bars{
      {{options.holder, 0}, window_bytes()}};
  if (options.second_unit) bars[{options.second_unit->holder, 0}] = window_bytes();
  for (const MachineDevice& device : options.devices)
    for (unsigned bar = 0; bar < kBarCount; ++bar)
      if (const std::uint64_t bytes = device.device->bar_size(bar))
        bars[{device.function, bar}] = std::max<std::uint64_t>(bytes, kPageSize);
  bars[{Requester::from_bdf(0, 0x1f, 2), 5}] = kQ35AhciBarBytes;
  std::vector<std::uint64_t> sizes;
  std::size_t ours = 0;
  for (const auto& [bar, bytes] : bars) {
    if (bar.first == holder) ours = sizes.size();
    sizes.push_back(bytes);
  }
  return bar_address(sizes, ours);
}

Coverage Machine::State::coverage() const {
  Coverage all{{{.register_base = register_base}}};
  if (options.second_unit) all.units.push_back({.register_base = second_base});
  for (const MachineDevice& device : options.devices) {
    if (device.bypass) continue;
    const Requester function = device.function;
    UnitCoverage& unit = device.second ? all.units.back() : all.units.front();
    if (options.front_end == FrontEnd::kVtd)
      unit.scopes.push_back({.start_bus = function.bus(),
                             .path = {{static_cast<std::uint8_t>(function.device()),
                                       static_cast<std::uint8_t>(function.function())}}});
    else
      unit.functions.push_back({function.bdf, function.bdf});
  }
  return all;
}

const TableParser& Machine::State::parser() const {
  if (options.front_end == FrontEnd::kVtd) return vtd::dmar_parser();
  if (options.front_end == FrontEnd::kAmdvi) return amdvi::ivrs_parser();
  return virtio_iommu::viot_parser();
}

// Who is behind a unit, in the words of the bytes.
Result<Done, std::string> Machine::State::take_given_table() {
  if (options.table.empty()) return Done{};
  if (options.front_end == FrontEnd::kNone)
    return Failure{std::string("a table is given for a machine without an IOMMU")};
  const auto says = parser().parse(options.table);
  if (!says) return Failure{"the table that is given: " + says.error().cause};
  for (MachineDevice& device : options.devices) {
    const auto found = covering(*says, {.function = device.function});
    if (!found) return Failure{"the table that is given: " + found.error()};
    device.bypass = *found == nullptr;
  }
  return Done{};
}

Result<Done, std::string> Machine::State::make_recorder() {
  if (!options.record.empty()) {
    auto made = replay::TraceRecorder::create(options.record, &steady);
    if (!made) return Failure{options.record + ": " + made.error().cause};
    recorder = std::move(*made);
  }
  if (options.check) check.emplace(recorder.get());
  return Done{};
}

Result<Done, std::string> Machine::State::build_table() {
  const auto take = [this](const TableParser& how) -> Result<Done, std::string> {
    if (auto taken = iommu->use_tables(how, table); !taken)
      return Failure{"the table that was built: " + taken.error().cause};
    return Done{};
  };
  if (!options.table.empty()) {
    table = options.table;
    return take(parser());
  }
  switch (options.front_end) {
    case FrontEnd::kNone:
      return Done{};
    case FrontEnd::kVtd:
      table = vtd::build_dmar(coverage());
      return take(parser());
    case FrontEnd::kAmdvi: {
      auto built = amdvi::build_ivrs(coverage(), {.unit = options.amdvi,
                                                  .function = options.amdvi_function,
                                                  .capability_offset = AmdviFunction::kCapabilityAt,
                                                  .io_apic = std::nullopt});
      if (!built) return Failure{built.error()};
      table = std::move(*built);
      return take(parser());
    }
    case FrontEnd::kVirtioIommu: {
      virtio_iommu::Viot viot{.units = {register_base}, .ranges = {}};
      for (const virtio_iommu::EndpointOptions& one : options.viommu.endpoints)
        viot.ranges.push_back({.unit = register_base,
                               .first = one.requester,
                               .last = one.requester,
                               .first_endpoint = one.id});
      table = virtio_iommu::build_viot(viot);
      return take(parser());
    }
  }
  return Done{};
}

std::unique_ptr<PciFunction> Machine::State::make_window() {
  WindowFunction::Options window{.bytes = std::bit_ceil(window_bytes()),
                                 .read = {},
                                 .write = {},
                                 .reset = [this] { reset(); },
                                 .reset_settled = [this] { return reset_settled(); },
                                 .placed = [this](std::uint64_t at) { placed = at; }};
  const auto serve_unit = [&window](auto& unit) {
    window.read = [&unit](std::uint64_t offset, unsigned size) {
      return read_unit(unit, offset, size);
    };
    window.write = [&unit](std::uint64_t offset, unsigned size, std::uint64_t value) {
      unit.write_register(offset, size, value);
    };
  };
  if (vtd != nullptr)
    serve_unit(*vtd);
  else
    serve_unit(*amdvi);
  return std::make_unique<WindowFunction>(std::move(window));
}

// It has no reset of its own: the first one's is the machine's.
Result<Done, std::string> Machine::State::add_second_unit() {
  if (!options.second_unit) return Done{};
  second_vtd = &iommu->add_unit<vtd::Unit>(second_base, options.second_unit->vtd);
  return serve(
      options.second_unit->holder, "iommu2",
      std::make_unique<WindowFunction>(WindowFunction::Options{
          .bytes = std::bit_ceil(window_bytes()),
          .read = [unit = second_vtd](std::uint64_t offset,
                                      unsigned size) { return read_unit(*unit, offset, size); },
          .write = [unit = second_vtd](
                       std::uint64_t offset, unsigned size,
                       std::uint64_t value) { unit->write_register(offset, size, value); },
          .reset = [] {},
          .reset_settled = [this] { return machine_reset.complete(); },
          .placed = [this](std::uint64_t at) { second_placed = at; }}));
}

Result<Done, std::string> Machine::State::add_unit() {
  switch (options.front_end) {
    case FrontEnd::kNone:
      return Done{};
    case FrontEnd::kVtd:
      vtd = &iommu->add_unit<vtd::Unit>(register_base, options.vtd);
      watch(*vtd);
      if (auto served = serve(options.holder, "iommu", make_window()); !served) return served;
      return add_second_unit();
    case FrontEnd::kAmdvi: {
      amdvi = &iommu->add_unit<amdvi::Unit>(register_base, options.amdvi);
      watch(*amdvi);
      auto function = std::make_unique<AmdviFunction>(*amdvi, options.amdvi, register_base);
      if (auto served = serve(options.amdvi_function, "amdvi", std::move(function)); !served)
        return served;
      return serve(options.holder, "iommu", make_window());
    }
    case FrontEnd::kVirtioIommu: {
      viommu =
          std::make_unique<ViommuFunction>([this] { reset(); }, [this] { return reset_settled(); });
      options.viommu.interrupts = viommu.get();
      auto& unit = iommu->add_unit<virtio_iommu::Unit>(register_base, options.viommu);
      watch(unit);
      viommu_device = &unit.device();
      viommu->serve(*viommu_device);
      return serve(options.holder, "iommu", std::move(viommu));
    }
  }
  return Done{};
}

Result<Done, std::string> Machine::State::serve(Requester function, std::string name,
                                                std::unique_ptr<PciFunction> served) {
  const std::string socket = options.run_folder + "/" + name + ".sock";
  connections.push_back({function, socket, name});
  auto added = server->add({.requester = function, .socket = socket}, std::move(served));
  if (!added) return Failure{name + ": " + added.error()};
  return Done{};
}

Result<Done, std::string> Machine::State::add_devices() {
  for (MachineDevice& device : options.devices) {
    if (auto served =
            serve(device.function, "device" + name_of(device.function), std::move(device.device));
        !served)
      return served;
  }
  return Done{};
}

// The client resets its functions one after the other, the IOMMU's maybe first: a device that were
// still at work would then reach memory untranslated. So all of them are stopped before.
void Machine::State::reset() {
  server->reset_functions_but(options.holder);
  machine_reset = iommu->reset();
}

bool Machine::State::translates(vtd::Unit& unit) {
  constexpr std::uint64_t kGlobalStatus = 0x1c;
  constexpr unsigned kTes = 31;
  return (unit.read_register(kGlobalStatus, 4) >> kTes & 1) != 0;
}

bool Machine::State::translating() const {
  if (vtd != nullptr) return translates(*vtd) || (second_vtd != nullptr && translates(*second_vtd));
  if (amdvi != nullptr) {
    constexpr std::uint64_t kControl = 0x18;
    return (amdvi->read_register(kControl, 8) & 1) != 0;  // IommuEn
  }
  return viommu_device != nullptr && virtio::status::kDriverOk.is_set(viommu_device->status());
}

void Machine::State::on_unit_msi(UnitId /*unit*/, Msi msi) {
  for (const Requester function : carriers) {
    FunctionHost* host = server->host_of(function);
    if (host != nullptr && host->send_msi(msi)) return;
  }
  // Relaxed: see the member.
  lost_unit_messages.fetch_add(1, std::memory_order_relaxed);
}

Result<std::unique_ptr<Machine>, std::string> Machine::create(MachineOptions options) {
  auto state = std::make_unique<State>(std::move(options));
  State& machine = *state;
  MachineOptions& wanted = machine.options;
  for (const MachineDevice& device : wanted.devices)
    if (device.function.bus() != 0 || device.function.segment != 0)
      return Failure{std::string("a device is not on bus 0")};
  if (auto taken = machine.take_given_table(); !taken) return Failure{taken.error()};
  if (!wanted.interrupt_remapping) wanted.vtd.interrupt_remapping = false;
  wanted.vtd = vtd::settled(wanted.vtd);
  if (wanted.second_unit) {
    if (wanted.front_end != FrontEnd::kVtd)
      return Failure{std::string("a second unit is of VT-d only")};
    if (wanted.check) return Failure{std::string("the check judges machines with one unit")};
    if (!wanted.interrupt_remapping) wanted.second_unit->vtd.interrupt_remapping = false;
    wanted.second_unit->vtd = vtd::settled(wanted.second_unit->vtd);
    machine.second_base = machine.expected_base(wanted.second_unit->holder);
  }
  wanted.viommu.endpoints.clear();
  for (const Requester function : machine.covered())
    wanted.viommu.endpoints.push_back({.requester = function, .id = function.bdf});
  machine.carriers = machine.covered();
  if (machine.has_window())
    machine.register_base = wanted.register_base.value_or(machine.expected_base(wanted.holder));
  else if (wanted.front_end == FrontEnd::kVirtioIommu)
    machine.register_base = virtio_iommu::name_of_pci(wanted.holder);

  if (auto made = machine.make_recorder(); !made) return Failure{made.error()};
  Recorder* const recorder =
      machine.check ? &*machine.check : static_cast<Recorder*>(machine.recorder.get());
  machine.iommu.emplace(IommuConfig{.memory = Server::no_memory(),
                                    .clock = &machine.clock(),
                                    .sinks = {.interrupts = &machine, .faults = wanted.faults},
                                    .caches = wanted.caches,
                                    .recorder = recorder});
  machine.server.emplace(*machine.iommu, machine.clock(), wanted.server);
  for (const auto step : {&State::build_table, &State::add_unit, &State::add_devices})
    if (auto done = (machine.*step)(); !done) return Failure{done.error()};
  return std::unique_ptr<Machine>(new Machine(std::move(state)));
}

Machine::Machine(std::unique_ptr<State> state) : state_(std::move(state)) {}
Machine::~Machine() = default;

const std::vector<std::byte>& Machine::table() const { return state_->table; }
const std::vector<Machine::Connection>& Machine::connections() const { return state_->connections; }
void Machine::run_once(Clock::Duration at_most) {
  state_->server->run_once(at_most);
  state_->was_translating = state_->was_translating || state_->translating();
}
void Machine::wake() { state_->server->wake(); }
std::size_t Machine::connected() const { return state_->server->connected(); }
Iommu& Machine::iommu() { return *state_->iommu; }
std::uint64_t Machine::register_base() const { return state_->register_base; }
std::optional<std::uint64_t> Machine::placed_at() const { return state_->placed; }
std::optional<std::uint64_t> Machine::second_base() const {
  if (!state_->options.second_unit) return std::nullopt;
  return state_->second_base;
}
std::optional<std::uint64_t> Machine::second_placed_at() const { return state_->second_placed; }
std::optional<Machine::Checked> Machine::checked() {
  if (!state_->check) return std::nullopt;
  return Checked{state_->check->findings(), state_->check->agrees(state_->iommu->stats())};
}
Result<Done, std::string> Machine::finish_recording() {
  if (!state_->recorder) return Done{};
  auto finished = state_->recorder->finish(state_->iommu->stats());
  if (!finished) return Failure{state_->options.record + ": " + finished.error().cause};
  return Done{};
}
bool Machine::was_translating() const { return state_->was_translating; }
std::uint64_t Machine::lost_unit_messages() const {
  // Relaxed: see the member.
  return state_->lost_unit_messages.load(std::memory_order_relaxed);
}

}  // namespace weir::vfio_user
