// SPDX-License-Identifier: Apache-2.0
//
// Accesses of a trace between two changes of what they could see, translated in one go and timed
// together: a clock costs as much as several hits, so single ones are never timed. What comes of
// each is kept, to be compared afterwards and outside the time taken.
//
// For one thread. Nothing the tables or the unit do changes while a batch runs.
#pragma once

#include <array>
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

// What the trace says became of an access; of a synthetic one, what the tables say of its page.
enum class Expected : std::uint8_t {
  kHit,
  kFill,
  kPassThrough,
  kUnremapped,
  kFault,
  kInterrupt,  // a message, whatever the tables say
  kMapped,
  kUnmapped
};

struct PendingAccess {
  ModelMachine::Device* device = nullptr;
  const StaleCheck::Source* source = nullptr;
  std::uint64_t line = 0;
  Requester requester{};
  Iova iova{};
  Gpa gpa{};                  // kHit, kFill, kPassThrough, kUnremapped, kMapped
  std::uint16_t code = 0;     // kFault: the front end's own
  std::uint8_t page_lg2 = 0;  // kHit, kFill; 0: the trace does not say
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
    // One for each batch: what an access took in it, and how many there were.
    struct Batch {
      float ns_each = 0;
      std::uint32_t accesses = 0;
    };
    std::vector<Batch> each;

    // Half of all accesses were in batches at least as fast: what the rest of the machine did
    // meanwhile does not show in it. 0 without batches.
    [[nodiscard]] double median_ns() const;
  };

  AccessBatch();

  // REQUIRES: !full().
  void add(const PendingAccess& access);
  [[nodiscard]] bool full() const { return accesses_.size() == kMost; }
  [[nodiscard]] bool empty() const { return accesses_.empty(); }
  // Whether an access in here may be to that 4 KiB page of any requester. False is certain.
  [[nodiscard]] bool may_touch(Iova page) const { return touched_[slot_of(page)] == number_; }

  // Translates all of them, each as one byte.
  void run();
  // After run(): the accesses and, in the same order, what came of them; until clear().
  [[nodiscard]] std::span<const PendingAccess> accesses() const { return accesses_; }
  [[nodiscard]] std::span<const Answer> answers() const { return answers_; }
  void clear();

  [[nodiscard]] const Times& times() const { return times_; }

 private:
  static constexpr std::size_t kSlots = 1024;
  [[nodiscard]] static std::size_t slot_of(Iova iova) {
    return (iova.value() >> kPageLg2) * 0x9e3779b97f4a7c15 >> 54;
  }

  std::vector<PendingAccess> accesses_;
  std::vector<Answer> answers_;
  std::vector<ModelMachine::Device*> open_;      // with a burst
  std::array<std::uint64_t, kSlots> touched_{};  // by hashed page: the last batch that has it
  std::uint64_t number_ = 1;
  Times times_;
};

}  // namespace weir::replay
