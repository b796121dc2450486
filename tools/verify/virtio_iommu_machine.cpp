// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/virtio_iommu_machine.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "iommu/iommu.h"
#include "replay/viommu_driver.h"
#include "tools/verify/dma_probe.h"
#include "tools/verify/machine_parts.h"
#include "tools/verify/virtio_iommu_case.h"
#include "vendors/virtio_iommu/unit.h"

namespace weir::verify {
namespace {

using replay::ViommuDriver;

constexpr std::uint64_t kUnitName = 0x10000;

// The vectors' machine has one unit for everything.
class Everything final : public TableParser {
 public:
  [[nodiscard]] Result<Coverage, TableError> parse(std::span<const std::byte>) const override {
    return Coverage{{UnitCoverage{.register_base = kUnitName, .rest_of_segment = true}}};
  }
};

[[nodiscard]] replay::ViommuDriverOptions driver_options(const ViommuConfig& config) {
  constexpr std::uint64_t kDeviceFeatures = 0xffffff;
  return {.ring = {.size = 8, .indirect = true}, .features = config.features & kDeviceFeatures};
}

[[nodiscard]] virtio_iommu::Options unit_options(const ViommuConfig& config) {
  virtio_iommu::Options options;
  options.page_size_mask = config.page_size_mask;
  options.input_range = config.input_range;
  options.first_domain = config.first_domain;
  options.last_domain = config.last_domain;
  options.probe_size = config.probe_size;
  options.boot_bypass = config.bypass;
  for (const Requester endpoint : config.endpoints)
    options.endpoints.push_back({.requester = endpoint, .id = endpoint.bdf});
  return options;
}

// A list of RESV_MEM properties (virtio 1.4, 5.13.6.8) as its bytes say it.
[[nodiscard]] std::vector<ViommuRegion> parse_properties(const std::vector<std::byte>& bytes) {
  std::vector<ViommuRegion> regions;
  const auto word = [&bytes](std::size_t at) {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
  };
  constexpr std::size_t kRegionBytes = 24;
  for (std::size_t at = 0; at + kRegionBytes <= bytes.size() && bytes[at] != std::byte{0};
       at += kRegionBytes)
    regions.push_back(
        {.msi = bytes[at + 4] == std::byte{1}, .range = {Iova(word(at + 8)), Iova(word(at + 16))}});
  return regions;
}

class ViommuMachine final : public Machine {
 public:
  explicit ViommuMachine(Premises premises)
      : premises_(std::move(premises)), probe_(premises_.ram, DmaProbe::TableUpdates::kNone) {}

  Result<Done, std::string> load(const Fields& fields) override;
  Verdict run(std::size_t index) override {
    return std::visit([this](const auto& operation) { return carry_out(operation); },
                      case_.operations[index]);
  }

 private:
  Verdict carry_out(const ViommuRequest& request);
  Verdict carry_out(const ViommuBypass& change);
  Verdict carry_out(const Dma& dma);

  ViommuDriver::Reply send(const ViommuAttach& request);
  ViommuDriver::Reply send(const ViommuDetach& request);
  ViommuDriver::Reply send(const ViommuMap& request);
  ViommuDriver::Reply send(const ViommuUnmap& request);
  ViommuDriver::Reply send(const ViommuProbe& request);
  void check_devices(const Fields& fields) const;
  // The access as the vectors write it down; `oddity` gets what makes it wrong in any case.
  std::optional<DmaResult> conclude(const Dma& dma, const Sighting& seen, std::string& oddity);

  // Constant after construction.
  Premises premises_;
  // Of the current case; destroyed from the last to the first.
  DmaProbe probe_;
  ViommuCase case_;
  std::unique_ptr<pagetables::PhysicalMemory> memory_;
  std::unique_ptr<Iommu> iommu_;
  std::unique_ptr<ViommuDriver> driver_;
  Ports ports_;
};

void ViommuMachine::check_devices(const Fields& fields) const {
  for (const ViommuOperation& operation : case_.operations)
    if (const auto* const dma = std::get_if<Dma>(&operation))
      check_device(premises_, dma->requester, fields);
}

Result<Done, std::string> ViommuMachine::load(const Fields& fields) {
  ports_.clear();
  driver_.reset();
  iommu_.reset();
  case_ = read_viommu_case(fields);
  if (fields.ok()) check_devices(fields);
  if (!fields.ok()) return Done{};
  premises_.ram.clear();
  const auto driver_wants = driver_options(case_.config);
  const auto area =
      find_driver_area(case_, premises_.ram, ViommuDriver::bytes_needed(driver_wants));
  if (!area) return Failure{std::string("the case leaves the driver no memory")};
  probe_.set_log({*area, *area + (ViommuDriver::bytes_needed(driver_wants) - 1)});

  memory_ = std::make_unique<pagetables::PhysicalMemory>(premises_.ram.memory());
  iommu_ = std::make_unique<Iommu>(IommuConfig{.memory = premises_.ram.memory(),
                                               .sinks = {.interrupts = &probe_, .dirty = &probe_},
                                               .caches = premises_.options.caches});
  constexpr std::array kTable = {std::byte{1}};
  if (!iommu_->use_tables(Everything{}, kTable)) return Failure{std::string("no routes")};
  auto& unit = iommu_->add_unit<virtio_iommu::Unit>(kUnitName, unit_options(case_.config));
  auto driver = ViommuDriver::create(unit.device(), *memory_, *area, driver_wants);
  if (!driver) return Failure{driver.error()};
  driver_ = std::move(driver).value();
  constexpr std::uint64_t kDeviceFeatures = 0xffffff;
  if ((driver_->features() & kDeviceFeatures) != driver_wants.features)
    return Failure{std::string("the unit of this build lacks features that the case accepts")};
  auto ports = attach_all(*iommu_, premises_.devices);
  if (!ports) return Failure{ports.error()};
  ports_ = std::move(*ports);
  return Done{};
}

ViommuDriver::Reply ViommuMachine::send(const ViommuAttach& request) {
  return driver_->call(ViommuDriver::attach_bytes(request.domain, request.endpoint.bdf,
                                                  request.flags, request.reserved),
                       4);
}
ViommuDriver::Reply ViommuMachine::send(const ViommuDetach& request) {
  auto bytes = ViommuDriver::detach_bytes(request.domain, request.endpoint.bdf);
  constexpr std::size_t kReservedAt = 12;
  std::memcpy(bytes.data() + kReservedAt, &request.reserved, sizeof request.reserved);
  return driver_->call(bytes, 4);
}
ViommuDriver::Reply ViommuMachine::send(const ViommuMap& request) {
  return driver_->call(ViommuDriver::map_bytes(request.domain, request.first, request.last,
                                               request.output, request.flags),
                       4);
}
ViommuDriver::Reply ViommuMachine::send(const ViommuUnmap& request) {
  return driver_->call(
      ViommuDriver::unmap_bytes(request.domain, request.first, request.last, request.reserved), 4);
}
ViommuDriver::Reply ViommuMachine::send(const ViommuProbe& request) {
  return driver_->probe(request.endpoint.bdf);
}

Verdict ViommuMachine::carry_out(const ViommuRequest& request) {
  const ViommuDriver::Reply reply =
      std::visit([this](const auto& what) { return send(what); }, request.what);
  Verdict verdict;
  for (const std::uint8_t status : request.permitted) {
    if (!verdict.expected.empty()) verdict.expected += " or ";
    verdict.expected += status_in_words(status);
  }
  verdict.got = status_in_words(reply.status);
  verdict.agrees = std::ranges::find(request.permitted, reply.status) != request.permitted.end();
  const auto* const probe = std::get_if<ViommuProbe>(&request.what);
  if (verdict.agrees && probe != nullptr && probe->with_properties &&
      parse_properties(reply.bytes) != probe->properties) {
    verdict.agrees = false;
    verdict.got += " with other properties";
  }
  return verdict;
}

Verdict ViommuMachine::carry_out(const ViommuBypass& change) {
  driver_->set_bypass(change.on ? 1 : 0);
  const bool reads = driver_->bypass() == (change.on ? 1 : 0);
  return {.agrees = reads, .expected = "done", .got = reads ? "done" : "the byte reads otherwise"};
}

std::optional<DmaResult> ViommuMachine::conclude(const Dma& dma, const Sighting& seen,
                                                 std::string& oddity) {
  const auto events = driver_->take_events();
  if (seen.kind != Sighting::Kind::kBlocked && !events.empty() && oddity.empty())
    oddity = "a fault was reported for an access that went through";
  switch (seen.kind) {
    case Sighting::Kind::kReached:
      return Reached{seen.gpa};
    case Sighting::Kind::kInterrupt:
      return BecameInterrupt{};
    case Sighting::Kind::kUnclear:
      return std::nullopt;
    case Sighting::Kind::kBlocked:
      break;
  }
  if (events.empty()) return Blocked{};
  if (events.size() != 1) {
    oddity = std::to_string(events.size()) + " reports of one fault";
    return std::nullopt;
  }
  // VIRTIO_IOMMU_FAULT_F_ADDRESS with _READ or _WRITE.
  constexpr std::uint32_t kAddress = 0x100;
  const std::uint32_t flags = kAddress | (dma.access == Access::kRead ? 1U : 2U);
  const ViommuDriver::Event& event = events.front();
  if (event.endpoint != dma.requester.bdf) oddity = "the report has another endpoint";
  if (event.flags != flags) oddity = "the report has other flags";
  if (event.address != dma.iova.value()) oddity = "the report has another address";
  return Blocked{.recorded = true, .code = event.reason};
}

Verdict ViommuMachine::carry_out(const Dma& dma) {
  const Sighting seen = probe_.run(*ports_.at(dma.requester), dma);
  std::string oddity = seen.oddity;
  const auto result = conclude(dma, seen, oddity);
  return judge(dma.permitted, result, oddity, std::equal_to<>());
}

}  // namespace

std::unique_ptr<Machine> make_virtio_iommu_machine(const Fields& header,
                                                   const MachineOptions& options) {
  auto premises = read_premises(header, options);
  if (!premises) return nullptr;
  return std::make_unique<ViommuMachine>(std::move(*premises));
}

}  // namespace weir::verify
