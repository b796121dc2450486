// SPDX-License-Identifier: Apache-2.0
#include "replay/played_units.h"

#include <cstring>
#include <string_view>

#include "vendors/amdvi/ivrs.h"
#include "vendors/amdvi/options_as_numbers.h"
#include "vendors/virtio_iommu/options_as_numbers.h"
#include "vendors/virtio_iommu/viot.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/options_as_numbers.h"

namespace weir::replay {
namespace {

using Carried = Result<Done, std::string>;

[[nodiscard]] Failure<std::string> no_such_call() {
  return Failure{std::string("the unit has no such call")};
}

[[nodiscard]] Carried carry_out_on(vtd::Unit& unit, const TraceCall& call) {
  if (call.words[0] != 0) return no_such_call();
  unit.write_register(call.words[1], static_cast<unsigned>(call.words[2]), call.words[3]);
  return Done{};
}

[[nodiscard]] Carried carry_out_on(amdvi::Unit& unit, const TraceCall& call) {
  const auto& w = call.words;
  if (w[0] == 0) {
    unit.write_register(w[1], static_cast<unsigned>(w[2]), w[3]);
    return Done{};
  }
  if (w[0] != 1) return no_such_call();
  std::optional<Msi> msi;
  if (w[1] != 0) msi = Msi{w[2], static_cast<std::uint32_t>(w[3])};
  unit.set_msi(msi);
  return Done{};
}

[[nodiscard]] Carried carry_out_on(virtio_iommu::Unit& unit, const TraceCall& call) {
  using virtio::DriverCall;
  virtio::Device& device = unit.device();
  const auto& w = call.words;
  const auto queue = static_cast<std::uint16_t>(w[1]);
  if (w[0] > static_cast<std::uint64_t>(DriverCall::kAcknowledge)) return no_such_call();
  switch (static_cast<DriverCall>(w[0])) {
    case DriverCall::kFeatures:
      device.set_driver_features(w[1]);
      break;
    case DriverCall::kStatus:
      device.write_status(static_cast<std::uint8_t>(w[1]));
      break;
    case DriverCall::kQueueSize:
      device.set_queue_size(queue, static_cast<std::uint16_t>(w[2]));
      break;
    case DriverCall::kQueueArea:
      if (w[2] > static_cast<std::uint64_t>(virtio::Device::Area::kDevice)) return no_such_call();
      device.set_queue_area(queue, static_cast<virtio::Device::Area>(w[2]), Gpa(w[3]));
      break;
    case DriverCall::kQueueVector:
      device.set_queue_vector(queue, static_cast<std::uint16_t>(w[2]));
      break;
    case DriverCall::kEnableQueue:
      device.enable_queue(queue);
      break;
    case DriverCall::kDisableQueue:
      device.disable_queue(queue);
      break;
    case DriverCall::kKick:
      device.kick(queue);
      break;
    case DriverCall::kConfigVector:
      device.set_config_vector(static_cast<std::uint16_t>(w[1]));
      break;
    case DriverCall::kWriteConfig:
      device.write_config(w[1], call.data);
      break;
    case DriverCall::kAcknowledge:
      device.acknowledge(static_cast<std::uint8_t>(w[1]));
      break;
  }
  return Done{};
}

[[nodiscard]] Failure<std::string> unknown_options(const TraceUnit& unit) {
  return Failure{"options of a " + unit.vendor + " unit that are not known here"};
}

}  // namespace

const TableParser* parser_for(std::span<const std::byte> table) {
  constexpr std::size_t kSignature = 4;
  if (table.size() < kSignature) return nullptr;
  const std::string_view signature(reinterpret_cast<const char*>(table.data()), kSignature);
  if (signature == "DMAR") return &vtd::dmar_parser();
  if (signature == "IVRS") return &amdvi::ivrs_parser();
  if (signature == "VIOT") return &virtio_iommu::viot_parser();
  return nullptr;
}

Result<PlayedUnit, std::string> PlayedUnit::make(Iommu& iommu, const TraceUnit& unit) {
  if (unit.vendor == "vtd") {
    const auto options = vtd::options_from(unit.options);
    if (!options) return unknown_options(unit);
    return PlayedUnit(&iommu.add_unit<vtd::Unit>(unit.register_base, *options));
  }
  if (unit.vendor == "amdvi") {
    const auto options = amdvi::options_from(unit.options);
    if (!options) return unknown_options(unit);
    return PlayedUnit(&iommu.add_unit<amdvi::Unit>(unit.register_base, *options));
  }
  if (unit.vendor == "virtio-iommu") {
    const auto options = virtio_iommu::options_from(unit.options);
    if (!options) return unknown_options(unit);
    return PlayedUnit(&iommu.add_unit<virtio_iommu::Unit>(unit.register_base, *options));
  }
  return Failure{std::string("a unit of a vendor that is not known here")};
}

Result<Done, std::string> PlayedUnit::carry_out(const TraceCall& call) {
  return std::visit([&call](auto* unit) { return carry_out_on(*unit, call); }, unit_);
}

}  // namespace weir::replay
