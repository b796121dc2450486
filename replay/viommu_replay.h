// SPDX-License-Identifier: Apache-2.0
//
// The events of a virtio-iommu log made into a model guest's requests and a device's accesses. Its
// requests are taken as they are and sent through a ring; its accesses name their direction. QEMU
// has no cache here, so every translation counts as one that it looked up.
//
//   attach, map, unmap   sent; a status other than OK is a difference
//   access               translated, faulted, bypassed, or a message, as the log says
//
// A log that begins later than the guest's driver did has domains and mappings that it does not
// show: they are presumed, and counted.
//
// For replay_trace only. One thread; one trace.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "replay/access_batch.h"
#include "replay/comparison.h"
#include "replay/model_memory.h"
#include "replay/stale_check.h"
#include "replay/viommu_driver.h"
#include "replay/viommu_log.h"
#include "vendors/virtio_iommu/unit.h"

namespace weir::replay {

class ViommuReplay {
 public:
  // The failure is why the trace cannot be replayed.
  using Step = Result<Done, std::string>;

  // `report` must outlive it.
  [[nodiscard]] static Result<std::unique_ptr<ViommuReplay>, std::string> create(
      const CacheOptions& caches, Report& report);

  [[nodiscard]] Step take(const ViommuEvent& event);
  // After the last event.
  void finish();

 private:
  struct Known {
    ModelMachine::Device device;
    StaleCheck::Source* source = nullptr;
    std::optional<std::uint32_t> domain;
  };
  struct Domain {
    StaleCheck::Tree tree;
  };

  ViommuReplay(ModelMemory memory, Report& report)
      : memory_(std::move(memory)), report_(report), comparison_(check_, report) {}

  [[nodiscard]] Step on(const ViommuAttachLogged& event);
  [[nodiscard]] Step on(const ViommuDetachLogged& event);
  [[nodiscard]] Step on(const ViommuMapLogged& event);
  [[nodiscard]] Step on(const ViommuUnmapLogged& event);
  [[nodiscard]] Step on(const ViommuAccessLogged& event);
  [[nodiscard]] Step on(const ViommuResetLogged& event);

  [[nodiscard]] Step start_driver();
  [[nodiscard]] Result<Known*, std::string> known(std::uint32_t endpoint);
  [[nodiscard]] Domain& domain(std::uint32_t id);
  void expect_ok(std::uint8_t status, const char* request);
  void set_view(Known& who);
  void put_leaves(std::uint32_t id, AddressRange<Iova> range, Gpa output, Permissions permissions);
  void presume(Known& who, const ViommuAccessLogged& access);
  void run_batch();

  // In the order of their lives.
  ModelMemory memory_;
  std::unique_ptr<Iommu> iommu_;
  virtio_iommu::Unit* unit_ = nullptr;
  std::unique_ptr<ViommuDriver> driver_;
  Gpa driver_area_;
  std::unordered_map<std::uint32_t, Known> known_;

  Report& report_;
  StaleCheck check_;
  Comparison comparison_;
  AccessBatch batch_;
  std::uint64_t line_ = 0;
  bool requests_sent_ = false;
  std::map<std::uint32_t, Domain> domains_;
};

}  // namespace weir::replay
