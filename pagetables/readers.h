// SPDX-License-Identifier: Apache-2.0
//
// The readers a walk can have: guest-physical memory, the embedder's memory (for a radix host map),
// and another walk. The last is the nested walk's seam: every table read of the upper stage is
// itself translated by the lower one, and the lower stage's failure is kept whole (stage, level,
// entry address, reason).
//
// A reader lives for one walk on one thread.
#pragma once

#include <utility>

#include "pagetables/physical_memory.h"
#include "pagetables/walk.h"
#include "pagetables/word_trail.h"

namespace weir::pagetables {

// Guest-physical memory; counts what the host map reads below it.
class DirectReader {
 public:
  using Space = Gpa;

  explicit DirectReader(const PhysicalMemory& memory, Trace trace = Trace::kLeave)
      : memory_(memory), trace_(trace) {}

  [[nodiscard, gnu::always_inline]] bool load_at_once(Gpa at, std::uint64_t& word) const {
    return trace_.trail() == nullptr && memory_.load64_from_slot(at, word);
  }
  [[nodiscard, gnu::always_inline]] PhysicalMemory::NearWords words_near(Gpa table) const {
    return trace_.trail() == nullptr ? memory_.words_near(table) : PhysicalMemory::NearWords{};
  }
  [[nodiscard, gnu::noinline, gnu::cold]] bool load_elsewhere(Gpa at, std::uint64_t& word) const {
    return load_at_once(at, word);
  }
  [[nodiscard]] Result<std::uint64_t, WalkFailure> load(Gpa at) {
    const auto word = memory_.load64(at, &references_);
    if (!word) return Failure{WalkFailure{.reason = FaultReason::kTableUnreadable}};
    if (trace_.trail() != nullptr) trace_.trail()->note(at, *word);
    return *word;
  }
  [[nodiscard]] Result<bool, WalkFailure> update(Gpa at, std::uint64_t seen,
                                                 std::uint64_t desired) {
    if (!trace_.updates()) return true;
    const auto done = memory_.compare_exchange64(at, seen, desired);
    if (!done) return Failure{WalkFailure{.reason = FaultReason::kUpdateFailed}};
    if (*done && trace_.trail() != nullptr) trace_.trail()->amend(at, desired);
    return *done;
  }
  [[nodiscard]] std::uint32_t take_references() { return std::exchange(references_, 0); }

 private:
  const PhysicalMemory& memory_;
  const Trace trace_;
  std::uint32_t references_ = 0;
};
static_assert(TableReader<DirectReader>);

// The embedder's memory, without a map in between.
class HostReader {
 public:
  using Space = Hpa;

  explicit HostReader(const GuestMemory& memory) : memory_(memory) {}

  [[nodiscard]] Result<std::uint64_t, WalkFailure> load(Hpa at) {
    const auto word = memory_.load64(at);
    if (!word) return Failure{WalkFailure{.reason = FaultReason::kTableUnreadable}};
    return *word;
  }
  [[nodiscard]] Result<bool, WalkFailure> update(Hpa at, std::uint64_t seen,
                                                 std::uint64_t desired) {
    const auto done = memory_.compare_exchange64(at, seen, desired);
    if (!done) return Failure{WalkFailure{.reason = FaultReason::kUpdateFailed}};
    return *done;
  }
  [[nodiscard]] std::uint32_t take_references() { return 0; }

 private:
  const GuestMemory& memory_;
};
static_assert(TableReader<HostReader>);

// A lower stage may also offer at_once(address, ask, leaf) -> bool: the answer where it is cached
// or where the straight way leads to it, in registers. False: nothing was done; call it.
template <typename LowerWalk, typename Space>
[[nodiscard, gnu::always_inline]] inline bool translate_at_once(LowerWalk& lower,
                                                                std::uint64_t address,
                                                                const Ask& ask, Leaf<Space>& leaf) {
  if constexpr (requires { lower.at_once(address, ask, leaf); })
    return lower.at_once(address, ask, leaf);
  else
    return false;
}

// Entries at addresses of `Upper`, each translated by `lower`: a callable
// (std::uint64_t address, const Ask&) -> WalkResult<LowerReader::Space>, with `stage` set in
// failures.
template <typename Upper, typename LowerWalk, TableReader LowerReader>
class TranslatedReader {
 public:
  using Space = Upper;
  using LowerSpace = typename LowerReader::Space;

  // Both must outlive the reader.
  TranslatedReader(LowerWalk& lower, LowerReader& memory) : lower_(lower), memory_(memory) {}

  [[nodiscard, gnu::always_inline]] bool load_at_once(Upper at, std::uint64_t& below,
                                                      std::uint64_t& word,
                                                      std::uint32_t& references) {
    if (below == kNotKnown) {
      Leaf<LowerSpace> leaf;
      if (!translate_at_once(lower_, at.value(), {.access = Access::kRead}, leaf)) [[unlikely]]
        return false;
      references += leaf.references;
      below = leaf.translate(at.value()).value();
    }
    if constexpr (ReadsAtOnce<LowerReader>)
      return memory_.load_at_once(LowerSpace(below), word);
    else
      return false;
  }
  // An entry whose place in the lower space is known.
  [[nodiscard]] Result<std::uint64_t, WalkFailure> load_below(std::uint64_t below) {
    return memory_.load(LowerSpace(below));
  }
  [[nodiscard]] Result<std::uint64_t, WalkFailure> load(Upper at) {
    const auto leaf = translate(at, {.access = Access::kRead});
    if (!leaf) return Failure{leaf.error()};
    return memory_.load(leaf->translate(at.value()));
  }
  // An update is a read and a write of the table's page.
  [[nodiscard]] Result<bool, WalkFailure> update(Upper at, std::uint64_t seen,
                                                 std::uint64_t desired) {
    const auto leaf = translate(at, {.access = Access::kReadWrite});
    if (!leaf) return Failure{leaf.error()};
    return memory_.update(leaf->translate(at.value()), seen, desired);
  }
  [[nodiscard]] std::uint32_t take_references() {
    return std::exchange(references_, 0) + memory_.take_references();
  }

 private:
  [[nodiscard]] auto translate(Upper at, const Ask& ask) {
    auto leaf = lower_(at.value(), ask);
    references_ += leaf ? leaf->references : leaf.error().references;
    return leaf;
  }

  LowerWalk& lower_;
  LowerReader& memory_;
  std::uint32_t references_ = 0;
};

}  // namespace weir::pagetables
