// SPDX-License-Identifier: Apache-2.0
#include "replay/viommu_replay.h"

#include <algorithm>
#include <array>
#include <utility>

#include "replay/virtio_driver_numbers.h"

namespace weir::replay {
namespace {

namespace number = virtio_driver;
using View = StaleCheck::View;

constexpr std::uint64_t kUnitName = 0x10000;
// Buses 0 to 3 are the traced machine's; bus 4 stands for endpoints that a log does not show.
constexpr std::uint32_t kEndpoints = 0x400;
constexpr std::uint32_t kStandIns = 0x100;
// QEMU logs the messages that functions send like any write, and gives them no address.
constexpr AddressRange<Iova> kMsiWindow{Iova(0xfee00000), Iova(0xfeefffff)};
// A mapping larger than this is looked after page by page no more than is sensible.
constexpr std::uint64_t kMostPages = std::uint64_t{1} << 20;

class Everything final : public TableParser {
 public:
  [[nodiscard]] Result<Coverage, TableError> parse(std::span<const std::byte>) const override {
    return Coverage{{UnitCoverage{.register_base = kUnitName, .rest_of_segment = true}}};
  }
};

[[nodiscard]] ViommuDriverOptions driver_options() {
  return {.ring = {.size = 64, .indirect = true, .event_index = true}};
}

[[nodiscard]] Permissions permissions_of(std::uint32_t flags) {
  return Permissions::of((flags & number::kMapRead) != 0, (flags & number::kMapWrite) != 0);
}

// QEMU calls an endpoint that was never attached "unknown"; the specification has DOMAIN for it
// (virtio 1.4, 5.13.6.9).
[[nodiscard]] std::uint16_t reason_of(std::uint8_t logged) {
  constexpr std::uint16_t kDomain = 1;
  return logged == 0 ? kDomain : logged;
}

}  // namespace

Result<std::unique_ptr<ViommuReplay>, std::string> ViommuReplay::create(const CacheOptions& caches,
                                                                        Report& report) {
  auto memory = ModelMemory::create();
  if (!memory) return Failure{memory.error()};
  std::unique_ptr<ViommuReplay> replay(new ViommuReplay(std::move(memory).value(), report));
  std::uint64_t wanted = ViommuDriver::bytes_needed(driver_options());
  for (bool first = true; wanted != 0; first = false) {
    const auto page = replay->memory_.allocate_page();
    if (!page) return Failure{std::string("no memory for the model's driver")};
    if (first) replay->driver_area_ = *page;  // the others follow it
    wanted -= std::min(wanted, kPageSize);
  }
  replay->iommu_ =
      std::make_unique<Iommu>(IommuConfig{.memory = replay->memory_.memory(), .caches = caches});
  constexpr std::array kTable = {std::byte{1}};
  if (!replay->iommu_->use_tables(Everything{}, kTable)) return Failure{std::string("no routes")};
  virtio_iommu::Options options;
  for (std::uint32_t id = 0; id < kEndpoints + kStandIns; ++id)
    options.endpoints.push_back(
        {.requester = Requester::from_sid(static_cast<std::uint16_t>(id)), .id = id});
  replay->unit_ = &replay->iommu_->add_unit<virtio_iommu::Unit>(kUnitName, options);
  if (auto started = replay->start_driver(); !started) return Failure{started.error()};
  return replay;
}

ViommuReplay::Step ViommuReplay::start_driver() {
  auto driver =
      ViommuDriver::create(unit_->device(), memory_.physical(), driver_area_, driver_options());
  if (!driver) return Failure{driver.error()};
  driver_ = std::move(driver).value();
  return Done{};
}

ViommuReplay::Step ViommuReplay::take(const ViommuEvent& event) {
  line_ = event.line;
  return std::visit([this](const auto& what) { return on(what); }, event.what);
}

void ViommuReplay::finish() {
  run_batch();
  const AccessBatch::Times& times = batch_.times();
  report_.translate_ns = static_cast<double>(times.spent.count());
  report_.median_ns = times.median_ns();
  report_.timed_accesses = times.accesses;
  report_.timed_batches = times.batches;
  report_.stats = iommu_->stats();
}

void ViommuReplay::run_batch() {
  if (batch_.empty()) return;
  batch_.run();
  comparison_.take(batch_);
  batch_.clear();
  (void)driver_->take_events();
}

Result<ViommuReplay::Known*, std::string> ViommuReplay::known(std::uint32_t endpoint) {
  if (endpoint >= kEndpoints) return Failure{std::string("an endpoint beyond bus 3")};
  Known& found = known_[endpoint];
  if (found.device.port == nullptr) {
    const auto requester = Requester::from_sid(static_cast<std::uint16_t>(endpoint));
    auto port = iommu_->attach({.function = requester});
    if (!port) return Failure{port.error()};
    found.device.port = std::move(port).value();
    found.source = &check_.source(requester);
    set_view(found);
  }
  return &found;
}

void ViommuReplay::expect_ok(std::uint8_t status, const char* request) {
  requests_sent_ = true;
  if (status != number::kOk) comparison_.take_refusal(line_, request, status);
}

// A domain that no endpoint of the log was seen to be attached to has a stand-in for one.
ViommuReplay::Domain& ViommuReplay::domain(std::uint32_t id) {
  const auto found = domains_.find(id);
  if (found != domains_.end()) return found->second;
  const auto stand_in = kEndpoints + static_cast<std::uint32_t>(domains_.size()) % kStandIns;
  expect_ok(driver_->attach(id, stand_in), "ATTACH");
  ++report_.presumed_contexts;
  return domains_[id];
}

void ViommuReplay::set_view(Known& who) {
  View view{.kind = View::Kind::kPassThrough};
  if (who.domain)
    view = {.kind = View::Kind::kTranslated,
            .domain = DomainId{*who.domain},
            .tree = &domains_[*who.domain].tree};
  check_.set_view(*who.source, view);
}

ViommuReplay::Step ViommuReplay::on(const ViommuAttachLogged& event) {
  run_batch();
  const auto who = known(event.endpoint);
  if (!who) return Failure{who.error()};
  (void)domains_[event.domain];
  expect_ok(driver_->attach(event.domain, event.endpoint), "ATTACH");
  (*who)->domain = event.domain;
  set_view(**who);
  ++report_.contexts_written;
  return Done{};
}

ViommuReplay::Step ViommuReplay::on(const ViommuDetachLogged& event) {
  run_batch();
  const auto who = known(event.endpoint);
  if (!who) return Failure{who.error()};
  expect_ok(driver_->detach(event.domain, event.endpoint), "DETACH");
  (*who)->domain.reset();
  set_view(**who);
  return Done{};
}

void ViommuReplay::put_leaves(std::uint32_t id, AddressRange<Iova> range, Gpa output,
                              Permissions permissions) {
  const std::uint64_t pages = (range.last - range.first) / kPageSize + 1;
  for (std::uint64_t i = 0; i < pages && i < kMostPages; ++i)
    (void)domains_[id].tree.leaves.put({.iova = range.first + i * kPageSize,
                                        .gpa = output + i * kPageSize,
                                        .permissions = permissions});
  report_.leaves_written += pages;
}

ViommuReplay::Step ViommuReplay::on(const ViommuMapLogged& event) {
  run_batch();
  (void)domain(event.domain);
  expect_ok(driver_->map(event.domain, event.range.first.value(), event.range.last.value(),
                         event.output.value(), event.flags),
            "MAP");
  put_leaves(event.domain, event.range, event.output, permissions_of(event.flags));
  return Done{};
}

ViommuReplay::Step ViommuReplay::on(const ViommuUnmapLogged& event) {
  run_batch();
  Domain& gone_from = domain(event.domain);
  const std::uint64_t pages = (event.range.last - event.range.first) / kPageSize + 1;
  for (std::uint64_t i = 0; i < pages && i < kMostPages; ++i)
    if (const auto leaf = gone_from.tree.leaves.take(event.range.first + i * kPageSize)) {
      check_.leaf_gone(DomainId{event.domain}, *leaf);
      ++report_.leaves_removed;
    }
  check_.posted(
      {.reach = Flush::Reach::kSelective, .domain = DomainId{event.domain}, .range = event.range});
  expect_ok(driver_->unmap(event.domain, event.range.first.value(), event.range.last.value()),
            "UNMAP");
  // A status is a completion.
  check_.completed();
  comparison_.take_wait(line_, driver_->collect());
  return Done{};
}

// The log begins after the endpoint was attached, or after the page was mapped.
void ViommuReplay::presume(Known& who, const ViommuAccessLogged& access) {
  const auto says = [&](const Domain& candidate) {
    const auto leaf = candidate.tree.leaves.find(access.iova);
    return leaf && leaf->translate(access.iova) == *access.gpa;
  };
  if (!who.domain) {
    run_batch();
    std::uint32_t id = ~access.endpoint;
    for (const auto& [candidate, found] : domains_)
      if (says(found)) id = candidate;
    (void)domain(id);
    expect_ok(driver_->attach(id, access.endpoint), "ATTACH");
    who.domain = id;
    set_view(who);
    ++report_.presumed_contexts;
  }
  if (domains_[*who.domain].tree.leaves.find(access.iova)) return;
  run_batch();
  const Iova page = access.iova.page_base(kPageLg2);
  const Gpa output = access.gpa->page_base(kPageLg2);
  expect_ok(driver_->map(*who.domain, page.value(), page.value() + kPageSize - 1, output.value()),
            "MAP");
  put_leaves(*who.domain, {page, page + (kPageSize - 1)}, output, Permissions::read_write());
  ++report_.presumed_leaves;
}

ViommuReplay::Step ViommuReplay::on(const ViommuAccessLogged& event) {
  const auto who = known(event.endpoint);
  if (!who) return Failure{who.error()};
  if (event.gpa) presume(**who, event);
  PendingAccess pending{
      .device = &(*who)->device,
      .source = (*who)->source,
      .line = line_,
      .requester = Requester::from_sid(static_cast<std::uint16_t>(event.endpoint)),
      .iova = event.iova,
      .gpa = event.gpa.value_or(Gpa(event.iova.value())),
      .access = event.access,
      .expected = event.gpa ? Expected::kFill : Expected::kPassThrough};
  if (!event.gpa && !event.fault && kMsiWindow.contains(event.iova))
    pending.expected = Expected::kInterrupt;
  if (event.fault) {
    pending.expected = Expected::kFault;
    pending.code = reason_of(*event.fault);
  }
  batch_.add(pending);
  if (batch_.full()) run_batch();
  return Done{};
}

ViommuReplay::Step ViommuReplay::on(const ViommuResetLogged& event) {
  run_batch();
  if (!requests_sent_) return Done{};
  requests_sent_ = false;
  if (event.of_machine) (void)iommu_->reset();
  check_.clear();
  domains_.clear();
  if (auto started = start_driver(); !started) return started;
  for (auto& [endpoint, who] : known_) {
    who.domain.reset();
    set_view(who);
  }
  return Done{};
}

}  // namespace weir::replay
