// SPDX-License-Identifier: Apache-2.0
//
// The one radix walk. Memory in, leaf or exact stopping entry out; nothing is cached, counted
// elsewhere, logged or written. A format (one header each, see vtd_second_stage.h) says how to read
// an entry; a reader says how to fetch one, which is the seam for nesting: a reader that is itself
// translated by a lower stage turns this walk into the upper stage of a nested one (readers.h).
//
// A stage's table pointers and its output lie in the same address space, the reader's. Any thread;
// bounded by the number of levels whatever the tables hold.
#pragma once

#include <concepts>
#include <cstdint>

#include "base/access.h"
#include "base/address.h"
#include "base/fault.h"
#include "base/result.h"

namespace weir::pagetables {

// What a format makes of one entry at one level, for one access.
struct Step {
  enum class Kind : std::uint8_t { kTable, kLeaf, kStop };
  Kind kind = Kind::kStop;
  FaultReason reason = FaultReason::kNotPresent;  // kStop
  std::uint64_t address = 0;                      // kTable: next table; kLeaf: page base
  std::uint8_t page_lg2 = 0;                      // kLeaf
  Permissions permissions;                        // what this entry allows
};

template <typename F>
concept RadixFormat = requires(const typename F::Rules& rules, std::uint64_t word, unsigned level,
                               Access access, Permissions permissions) {
  { F::kIndexBits } -> std::convertible_to<unsigned>;  // index bits per level
  { F::kMaxLevels } -> std::convertible_to<unsigned>;
  // Reading.
  { F::inspect(word, level, access, rules) } -> std::same_as<Step>;
  // Building (table_builder.h).
  { F::make_table(word) } -> std::same_as<std::uint64_t>;
  { F::make_leaf(word, level, permissions) } -> std::same_as<std::uint64_t>;
  { F::leaf_allowed(level, rules) } -> std::same_as<bool>;
};

// The lowest `shift` input bits that an entry at `level` (1 is the last) leaves untranslated.
template <RadixFormat Format>
[[nodiscard]] constexpr unsigned level_shift(unsigned level) {
  return kPageLg2 + Format::kIndexBits * (level - 1);
}

// Input bits that a table of `levels` levels translates.
template <RadixFormat Format>
[[nodiscard]] constexpr unsigned input_bits(unsigned levels) {
  return level_shift<Format>(levels + 1);
}

template <typename Space>
struct Leaf {
  Space page;  // base of the page in the output space
  std::uint8_t page_lg2 = 0;
  std::uint8_t level = 0;
  Permissions permissions;  // allowed by every level
  std::uint64_t entry = 0;  // the leaf entry as read
  std::uint32_t references =
      0;  // table entries read, by this walk and whatever translated its reads

  [[nodiscard]] constexpr Space translate(std::uint64_t input) const {
    return page + (input & ((std::uint64_t{1} << page_lg2) - 1));
  }
};

struct WalkFailure {
  FaultReason reason = FaultReason::kNotPresent;
  Stage stage = Stage::kNone;  // set where a lower stage failed; else the caller knows
  std::uint8_t level = 0;      // 1 is the last level; 0: before any entry
  std::uint64_t entry_at = 0;  // where the entry lies, in the reader's space
  std::uint32_t references = 0;
};

template <typename Space>
using WalkResult = Result<Leaf<Space>, WalkFailure>;

// Fetches table entries from an address space. `load` may fail with the reason it has; `references`
// counts the entries that it read itself to find this one (a direct reader: none).
template <typename R>
concept TableReader = requires(R& reader, typename R::Space at) {
  { reader.load(at) } -> std::same_as<Result<std::uint64_t, WalkFailure>>;
  { reader.take_references() } -> std::same_as<std::uint32_t>;
};

// Walks from `root`, a table of `levels` levels (1…Format::kMaxLevels), for `input`.
template <RadixFormat Format, TableReader Reader>
[[nodiscard]] WalkResult<typename Reader::Space> walk(const typename Format::Rules& rules,
                                                      Reader& reader, typename Reader::Space root,
                                                      unsigned levels, std::uint64_t input,
                                                      Access access) {
  using Space = typename Reader::Space;
  WalkFailure failure;
  const unsigned reach = input_bits<Format>(levels);
  if (reach < 64 && input >> reach != 0) {
    failure.reason = FaultReason::kBeyondInputWidth;
    return Failure{failure};
  }
  Permissions permissions = Permissions::read_write();
  Space table = root;
  std::uint32_t references = 0;
  for (unsigned level = levels; level > 0; --level) {
    const std::uint64_t index =
        input >> level_shift<Format>(level) & ((std::uint64_t{1} << Format::kIndexBits) - 1);
    const Space entry_at = table + index * sizeof(std::uint64_t);
    const Result<std::uint64_t, WalkFailure> entry = reader.load(entry_at);
    // An entry whose address the lower stage did not give was never read.
    const bool reached = entry || entry.error().stage == Stage::kNone;
    references += reader.take_references() + (reached ? 1 : 0);
    if (!entry) {
      failure = entry.error();
      if (failure.stage == Stage::kNone) {
        failure.reason =
            level == levels ? FaultReason::kRootTableUnreadable : FaultReason::kTableUnreadable;
        failure.level = static_cast<std::uint8_t>(level);
        failure.entry_at = entry_at.value();
      }
      failure.references = references;
      return Failure{failure};
    }
    const Step step = Format::inspect(*entry, level, access, rules);
    permissions = permissions & step.permissions;
    switch (step.kind) {
      case Step::Kind::kTable:
        table = Space(step.address);
        continue;
      case Step::Kind::kLeaf:
        return Leaf<Space>{.page = Space(step.address),
                           .page_lg2 = step.page_lg2,
                           .level = static_cast<std::uint8_t>(level),
                           .permissions = permissions,
                           .entry = *entry,
                           .references = references};
      case Step::Kind::kStop:
        failure.reason = step.reason;
        failure.level = static_cast<std::uint8_t>(level);
        failure.entry_at = entry_at.value();
        failure.references = references;
        return Failure{failure};
    }
  }
  // Only a format that calls an entry of level 1 a table comes here.
  failure.reason = FaultReason::kReservedBits;
  failure.level = 1;
  failure.references = references;
  return Failure{failure};
}

}  // namespace weir::pagetables
