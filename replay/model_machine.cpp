// SPDX-License-Identifier: Apache-2.0
#include "replay/model_machine.h"

#include <vector>

#include "vendors/vtd/dmar.h"

namespace weir::replay {
namespace {

constexpr std::uint64_t kRegisters = 0xfed90000;

}  // namespace

Result<std::unique_ptr<ModelMachine>, std::string> ModelMachine::create(
    const CacheOptions& caches, VtdModelDriver::Mode mode) {
  auto memory = ModelMemory::create();
  if (!memory) return Failure{memory.error()};
  std::unique_ptr<ModelMachine> machine(new ModelMachine(std::move(memory).value()));
  machine->iommu_ =
      std::make_unique<Iommu>(IommuConfig{.memory = machine->memory_.memory(), .caches = caches});
  const Coverage everything{{{.register_base = kRegisters, .rest_of_segment = true}}};
  const std::vector<std::byte> dmar = vtd::build_dmar(everything);
  const auto taken = machine->iommu_->use_tables(vtd::dmar_parser(), dmar);
  if (!taken) return Failure{taken.error().cause};
  const bool scalable = mode == VtdModelDriver::Mode::kScalable;
  machine->unit_ = &machine->iommu_->add_unit<vtd::Unit>(
      kRegisters, vtd::Options{.address_bits = 48,
                               .fault_records = 1,
                               .scalable = scalable,
                               .first_stage = scalable,
                               .first_stage_1g = scalable});
  return machine;
}

Result<ModelMachine::Device*, std::string> ModelMachine::device(Requester requester) {
  const auto known = devices_.find(requester);
  if (known != devices_.end()) return &known->second;
  auto port = iommu_->attach({.function = requester});
  if (!port) return Failure{port.error()};
  Device& made = devices_[requester];
  made.port = std::move(port).value();
  return &made;
}

}  // namespace weir::replay
