// SPDX-License-Identifier: Apache-2.0
#include "vendors/virtio_iommu/unit.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "vendors/virtio_iommu/config_space.h"
#include "vendors/virtio_iommu/events.h"
#include "vendors/virtio_iommu/options_as_numbers.h"
#include "vendors/virtio_iommu/runner.h"
#include "vendors/virtio_iommu/translate.h"

namespace weir::virtio_iommu {

struct Unit::State final : virtio::DeviceType {
  State(UnitHost& unit_host, const Options& from)
      : host(unit_host),
        options(from),
        endpoints(options.endpoints),
        structures(options, endpoints),
        config(options),
        device(*this, options.interrupts),
        events(unit_host, device,
               [this](std::uint64_t number) { part_of_reset_done(Part::kEvents, number); }),
        runner(unit_host, options, structures, config, device,
               [this](std::uint64_t number) { part_of_reset_done(Part::kRunner, number); }) {}

  // What the virtio device asks of its type.
  [[nodiscard]] std::uint16_t device_id() const override { return kDeviceId; }
  [[nodiscard]] std::uint64_t offered_features() const override { return features_of(options); }
  [[nodiscard]] std::vector<std::uint16_t> queue_sizes() const override {
    return {options.queue_size, options.queue_size};
  }
  void read_config(std::uint64_t offset, std::span<std::byte> to) override {
    config.read(offset, to);
  }
  void write_config(std::uint64_t offset, std::span<const std::byte> from) override {
    const std::uint64_t accepted =
        virtio::status::kFeaturesOk.is_set(device.status()) ? device.driver_features() : 0;
    if (const auto on = ConfigSpace::decode_write(accepted, offset, from)) runner.set_bypass(*on);
  }
  void features_accepted(std::uint64_t features) override { runner.accept_features(features); }
  void start_queue(std::uint16_t queue, const virtio::QueueConfig& queue_config) override {
    if (queue == kRequestQueue)
      runner.start(queue_config);
    else
      events.start(queue_config);
  }
  void stop_queue(std::uint16_t queue) override {
    if (queue == kRequestQueue)
      runner.stop();
    else
      events.stop();
  }
  void kick(std::uint16_t queue) override {
    if (queue == kRequestQueue)
      runner.kick();
    else
      events.kick();
  }
  void reset() override { reset(Runner::ResetKind::kDevice); }

  void reset(Runner::ResetKind kind) {
    std::uint64_t number = 0;
    {
      const MutexLock lock(mutex);
      number = ++resets;
    }
    events.reset(number);
    runner.reset(kind, number);
  }
  enum class Part : std::uint8_t { kEvents, kRunner };
  void part_of_reset_done(Part part, std::uint64_t number) {
    {
      const MutexLock lock(mutex);
      (part == Part::kEvents ? events_reset : runner_reset) = number;
      if (events_reset != resets || runner_reset != resets) return;
    }
    device.reset_done();
  }

  // Constant after construction.
  UnitHost& host;
  const Options options;

  Endpoints endpoints;
  Structures structures;
  ConfigSpace config;
  virtio::Device device;
  Events events;
  Runner runner;

  std::atomic<bool> announcing{false};  // and the domains know

  // Event queue and runner finish a reset each for itself.
  Mutex mutex;
  std::uint64_t resets WEIR_GUARDED_BY(mutex) = 0;  // asked for so far
  std::uint64_t events_reset WEIR_GUARDED_BY(mutex) = 0;
  std::uint64_t runner_reset WEIR_GUARDED_BY(mutex) = 0;
};

Unit::Unit(UnitHost& host, const Options& options)
    : state_(std::make_unique<State>(host, options)) {
  if (Recorder* recorder = host.recorder()) {
    recorder->on_unit(host.id(), host.register_base(), "virtio-iommu", numbers_of(options));
    state_->device.record_with(*recorder, host.id());
  }
  host.set_mode(UnitMode::kTranslating);
}

Unit::~Unit() = default;

virtio::Device& Unit::device() { return state_->device; }

std::optional<Window> Unit::window(Requester requester, Iova iova) {
  const MutexLock lock(state_->structures.mutex);
  const Endpoint* const endpoint = state_->endpoints.by_requester(requester);
  if (endpoint == nullptr) return std::nullopt;
  // Acquire: as in context_of.
  const Domain* const domain = endpoint->domain.load(std::memory_order_acquire);
  if (domain == nullptr ? state_->runner.bypass() : domain->bypass)
    return Window{
        .range = whole_space<Iova>(), .output = Gpa(0), .permissions = Permissions::read_write()};
  if (domain == nullptr) return std::nullopt;
  const auto mapping = domain->mappings.lookup(iova);
  if (!mapping) return std::nullopt;
  return Window{.range = mapping->range,
                .output = mapping->output,
                .permissions = mapping->permissions,
                .mmio = mapping->mmio};
}

UnitCounts Unit::counts() {
  const RequestCounts requests = state_->runner.counts();
  const EventCounts events = state_->events.counts();
  return {.requests = requests.requests,
          .refused = requests.refused,
          .unparsed = requests.unparsed,
          .batches = requests.batches,
          .rounds = requests.rounds,
          .faults_reported = events.reported,
          .faults_dropped = events.dropped};
}

Result<iotlb::Context, Fault> Unit::read_context(const Request& request,
                                                 const pagetables::PhysicalMemory&) {
  // Acquire: pairs with announces_mappings; a mapping that was not announced is seen by every walk
  // of a context that says that all are.
  const bool announcing = state_->announcing.load(std::memory_order_acquire);
  auto context = context_of(state_->endpoints.by_requester(request.requester),
                            state_->runner.bypass(), request);
  if (context && announcing) context->coherence = iotlb::Coherence::kCaching;
  return context;
}

bool Unit::announces_mappings() const {
  // Where nothing is mapped is kept, and told, by pages.
  const std::uint64_t mask = state_->options.page_size_mask;
  if ((mask & (~mask + 1)) < kPageSize) return false;
  const MutexLock lock(state_->structures.mutex);
  state_->structures.domains.announce_mappings();
  // Release: pairs with read_context; mappings that were made before the lock was taken.
  state_->announcing.store(true, std::memory_order_release);
  return true;
}

std::optional<Fault> Unit::check(const iotlb::Context&, const Request& request) {
  return refuse_special(request);
}

Result<pagetables::Leaf<Gpa>, Fault> Unit::walk(const iotlb::Context& context, const Request& piece,
                                                const WalkScope& scope) {
  return walk_mappings(context, piece, scope.trace);
}

void Unit::record(const Fault& fault) {
  const Endpoint* const endpoint = state_->endpoints.by_requester(fault.request.requester);
  if (!fault.recorded || endpoint == nullptr) return;
  state_->events.report(report_of(fault, endpoint->options.id));
}

void Unit::poll() { state_->runner.poll(); }

void Unit::reset() {
  state_->device.power_on();
  state_->reset(Runner::ResetKind::kMachine);
  // Translation is never off: what is not attached is blocked or bypasses, as the bypass byte says.
  state_->host.set_mode(UnitMode::kTranslating);
}

}  // namespace weir::virtio_iommu
