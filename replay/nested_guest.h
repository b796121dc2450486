// SPDX-License-Identifier: Apache-2.0
//
// A machine with a VT-d unit in scalable mode, and a model of the guest that owns it: functions
// that are nested (first stage over second stage, four levels each, pages of 4 KiB in both), and a
// queue of 256-bit descriptors for their flushes. Everything goes through what a guest has: memory,
// registers, the queue. The second stage is the identity, page by page.
//
// post() and completed(): any thread, as a guest's processors share the queue under a lock. Tables
// and buffers: for one thread. Ports: as iommu/dma_port.h says.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "iommu/iommu.h"
#include "pagetables/table_builder.h"
#include "pagetables/vtd_second_stage.h"
#include "pagetables/x86_first_stage.h"
#include "replay/model_memory.h"
#include "vendors/vtd/unit.h"

namespace weir::replay {

class NestedGuest {
 public:
  // Guest memory that buffers are in.
  static constexpr std::uint64_t kBuffers = std::uint64_t{1} << 30;
  static constexpr std::uint64_t kBufferPages = 16384;

  // With first-stage tables of its own, in a domain of its own.
  struct Function {
    std::uint32_t domain = 0;
    std::optional<pagetables::TableBuilder<pagetables::X86FirstStage>> tables{};
    std::unique_ptr<DmaPort> port{};
  };
  // An aligned block of 2^order pages of one domain.
  struct Flush {
    std::uint32_t domain = 0;
    Iova first;
    unsigned order = 0;
    bool leaf_only = false;  // IH: only leaf entries changed
  };
  static constexpr std::size_t kMostAtOnce = 64;

  // One function for each source-id. Refused in one sentence.
  [[nodiscard]] static Result<std::unique_ptr<NestedGuest>, std::string> create(
      std::span<const std::uint16_t> source_ids);

  [[nodiscard]] Function& function(std::size_t index) { return functions_[index]; }
  [[nodiscard]] Stats stats() const { return iommu_->stats(); }

  // A first-stage page of all rights; `number` is that of a buffer page.
  [[nodiscard]] Result<Done, std::string> map(Function& function, Iova iova, std::uint64_t number);

  // Descriptors, a wait behind them, and one doorbell for all: gives the number of the wait.
  // REQUIRES: at most kMostAtOnce; not more than one wait of each function is outstanding.
  [[nodiscard]] std::uint32_t post(std::span<const Flush> flushes) WEIR_EXCLUDES(queue_mutex_);
  [[nodiscard]] bool completed(std::uint32_t wait) const;

 private:
  explicit NestedGuest(ModelMemory memory) : memory_(std::move(memory)) {}

  [[nodiscard]] Gpa page() { return *memory_.allocate_page(); }
  void put(Gpa at, std::uint64_t word) { (void)memory_.physical().store64(at, word); }
  [[nodiscard]] Result<Done, std::string> start(std::span<const std::uint16_t> source_ids);
  [[nodiscard]] Result<Done, std::string> attach(Function& function, std::uint16_t source_id);
  void descriptor(std::uint64_t low, std::uint64_t high) WEIR_REQUIRES(queue_mutex_);

  ModelMemory memory_;
  std::unique_ptr<Iommu> iommu_;
  vtd::Unit* unit_ = nullptr;
  Gpa queue_, status_, contexts_;  // constant after creation
  std::optional<pagetables::TableBuilder<pagetables::VtdSecondStage>> stage2_;
  std::vector<Function> functions_;

  Mutex queue_mutex_;
  std::uint64_t tail_ WEIR_GUARDED_BY(queue_mutex_) = 0;
  std::uint32_t waits_ WEIR_GUARDED_BY(queue_mutex_) = 0;
};

}  // namespace weir::replay
