// SPDX-License-Identifier: Apache-2.0
//
// Accesses of a trace between two changes of what they could see, translated in one go and timed
// together: a clock costs as much as several hits, so single ones are never timed. What comes of
// each is kept, to be compared afterwards and outside the time taken.
//
// For one thread. Nothing the tables or the unit do changes while a batch runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "base/access.h"
#include "base/address.h"
#include "base/fault.h"
#include "iommu/stats.h"
#include "replay/model_machine.h"
#include "replay/stale_check.h"

namespace weir::replay {

// What the trace says became of an access.
enum class Expected : std::uint8_t { kHit, kFill, kPassThrough, kUnremapped, kFault, kSynthetic };

struct PendingAccess {
  ModelMachine::Device* device = nullptr;
  const StaleCheck::Source* source = nullptr;
  std::uint64_t line = 0;
  Requester requester{};
  Iova iova{};
  Gpa gpa{};                  // kHit, kFill, kPassThrough, kSynthetic
  std::uint16_t code = 0;     // kFault: the front end's own
  std::uint8_t page_lg2 = 0;  // kHit, kFill
  Access access = Access::kRead;
  Expected expected = Expected::kHit;
};

struct Answer {
  Gpa gpa{};
  Outcome outcome = Outcome::kFaulted;
  std::uint8_t page_lg2 = 0;
  std::uint16_t code = 0;  // kFaulted, as is `reason`
  FaultReason reason{};
};

class AccessBatch {
 public:
  // Enough that the clock does not matter, few enough that answers stay in the nearest cache.
  static constexpr std::size_t kMost = 256;

  struct Times {
    std::chrono::nanoseconds spent{};
    std::uint64_t batches = 0;
    std::uint64_t accesses = 0;
  };

  AccessBatch();

  // REQUIRES: !full().
  void add(const PendingAccess& access);
  [[nodiscard]] bool full() const { return accesses_.size() == kMost; }
  [[nodiscard]] bool empty() const { return accesses_.empty(); }
  // Whether a leaf that appears where none was could change what an access in here meets.
  [[nodiscard]] bool holds_fault() const { return holds_fault_; }

  // Translates all of them, each as one byte.
  void run();
  // After run(): the accesses and, in the same order, what came of them; until clear().
  [[nodiscard]] std::span<const PendingAccess> accesses() const { return accesses_; }
  [[nodiscard]] std::span<const Answer> answers() const { return answers_; }
  void clear();

  [[nodiscard]] const Times& times() const { return times_; }

 private:
  std::vector<PendingAccess> accesses_;
  std::vector<Answer> answers_;
  std::vector<ModelMachine::Device*> open_;  // with a burst
  bool holds_fault_ = false;
  Times times_;
};

}  // namespace weir::replay
