// SPDX-License-Identifier: Apache-2.0
//
// The machine that a trace is replayed on: guest memory, an Iommu with one VT-d unit that covers
// every function, and a port for each function that the trace names. The unit is as QEMU's in what
// a log depends on: one fault record, three or four levels, and for guests in scalable mode that
// mode with first-stage tables.
//
// For one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/ids.h"
#include "base/result.h"
#include "iommu/iommu.h"
#include "replay/model_driver.h"
#include "replay/model_memory.h"
#include "vendors/vtd/unit.h"

namespace weir::replay {

class ModelMachine {
 public:
  // A function and, while a batch runs, the burst that its requests are in.
  struct Device {
    std::unique_ptr<DmaPort> port;
    std::optional<DmaPort::Burst> burst;
  };

  // Refused in one sentence.
  [[nodiscard]] static Result<std::unique_ptr<ModelMachine>, std::string> create(
      const CacheOptions& caches, VtdModelDriver::Mode mode = VtdModelDriver::Mode::kLegacy);

  [[nodiscard]] ModelMemory& memory() { return memory_; }
  [[nodiscard]] Iommu& iommu() { return *iommu_; }
  [[nodiscard]] vtd::Unit& unit() { return *unit_; }
  // Attached when first asked for; stays where it is.
  [[nodiscard]] Result<Device*, std::string> device(Requester requester);

 private:
  explicit ModelMachine(ModelMemory memory) : memory_(std::move(memory)) {}

  // In the order of their lives.
  ModelMemory memory_;
  std::unique_ptr<Iommu> iommu_;
  vtd::Unit* unit_ = nullptr;
  std::unordered_map<Requester, Device> devices_;
};

}  // namespace weir::replay
