// SPDX-License-Identifier: Apache-2.0
//
// The two readers a walk can have: straight from guest-physical memory, and through another walk.
// The second is the nested walk's seam: every table read of the upper stage is itself translated by
// the lower one, with the lower stage's failure kept whole (stage, level, entry address, reason).
//
// A reader lives for one walk on one thread.
#pragma once

#include <utility>

#include "pagetables/physical_memory.h"
#include "pagetables/walk.h"

namespace weir::pagetables {

class DirectReader {
 public:
  using Space = Gpa;

  explicit DirectReader(const PhysicalMemory& memory) : memory_(memory) {}

  [[nodiscard]] Result<std::uint64_t, WalkFailure> load(Gpa at) {
    const auto word = memory_.load64(at);
    if (!word) return Failure{WalkFailure{.reason = FaultReason::kTableUnreadable}};
    return *word;
  }
  [[nodiscard]] std::uint32_t take_references() { return 0; }

 private:
  const PhysicalMemory& memory_;
};
static_assert(TableReader<DirectReader>);

// Reads entries at addresses of `Upper`, each translated by `lower`: a callable
// (std::uint64_t address) -> WalkResult<LowerReader::Space> for a read, with `stage` set in
// failures.
template <typename Upper, typename LowerWalk, TableReader LowerReader>
class TranslatedReader {
 public:
  using Space = Upper;

  TranslatedReader(LowerWalk lower, LowerReader& memory)
      : lower_(std::move(lower)), memory_(memory) {}

  [[nodiscard]] Result<std::uint64_t, WalkFailure> load(Upper at) {
    const auto leaf = lower_(at.value());
    references_ += leaf ? leaf->references : leaf.error().references;
    if (!leaf) return Failure{leaf.error()};
    return memory_.load(leaf->translate(at.value()));
  }
  [[nodiscard]] std::uint32_t take_references() { return std::exchange(references_, 0); }

 private:
  LowerWalk lower_;
  LowerReader& memory_;
  std::uint32_t references_ = 0;
};

}  // namespace weir::pagetables
