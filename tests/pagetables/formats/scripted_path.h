// SPDX-License-Identifier: Apache-2.0
//
// A way through the tables with nothing else around it: one page per level in which every entry is
// the same, so that any input gets through and what the walk fetched can be read off. The pages lie
// at odd multiples of 1 GiB: aligned for every page size that an entry may be mistaken for, and
// never where a single address bit points.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "pagetables/walk.h"
#include "tests/pagetables/formats/facts.h"

namespace weir::pagetables::facts {

// Memory that remembers what was asked of it.
class ScriptedReader {
 public:
  using Space = Gpa;
  struct Update {
    std::uint64_t at = 0;
    std::uint64_t seen = 0;
    std::uint64_t desired = 0;
    friend bool operator==(const Update&, const Update&) = default;
  };

  void put(std::uint64_t at, std::uint64_t word) { words_[at] = word; }
  // Every entry of the page at `page` is `word`.
  void fill(std::uint64_t page, std::uint64_t word) { pages_[page] = word; }
  void remove(std::uint64_t page) { pages_.erase(page); }
  [[nodiscard]] std::uint64_t word(std::uint64_t at) const {
    const auto one = words_.find(at);
    return one != words_.end() ? one->second : pages_.at(at & ~0xfffULL);
  }

  [[nodiscard]] Result<std::uint64_t, WalkFailure> load(Gpa at) {
    loads.push_back(at.value());
    if (!words_.contains(at.value()) && !pages_.contains(at.value() & ~0xfffULL))
      return Failure{WalkFailure{.reason = FaultReason::kTableUnreadable}};
    return word(at.value());
  }
  [[nodiscard]] Result<bool, WalkFailure> update(Gpa at, std::uint64_t seen,
                                                 std::uint64_t desired) {
    if (before_update) before_update(at.value());
    if (read_only) return Failure{WalkFailure{.reason = FaultReason::kUpdateFailed}};
    if (word(at.value()) != seen) return false;
    updates.push_back({at.value(), seen, desired});
    words_[at.value()] = desired;
    return true;
  }
  [[nodiscard]] std::uint32_t take_references() { return 0; }

  std::vector<std::uint64_t> loads;
  std::vector<Update> updates;
  bool read_only = false;
  std::function<void(std::uint64_t at)> before_update;

 private:
  std::unordered_map<std::uint64_t, std::uint64_t> words_;
  std::unordered_map<std::uint64_t, std::uint64_t> pages_;
};
static_assert(TableReader<ScriptedReader>);

template <typename Facts>
class ScriptedPath {
 public:
  using Format = typename Facts::Format;

  // A table in every level down to that of `page`, and there a leaf that gives `output`.
  ScriptedPath(unsigned levels, const PageFact& page, std::uint64_t output = 0)
      : levels_(levels), page_(page) {
    for (unsigned level = levels; level > page.level; --level)
      set(level, Facts::table(table_at(level - 1), level));
    set(page.level, Facts::leaf(output, page.lg2));
  }

  [[nodiscard]] static constexpr std::uint64_t table_at(unsigned level) {
    return std::uint64_t{2 * level + 1} << 30;
  }
  [[nodiscard]] std::uint64_t word(unsigned level) const { return reader.word(table_at(level)); }
  void set(unsigned level, std::uint64_t word) { reader.fill(table_at(level), word); }

  // Where the manuals say that the entry for `input` lies.
  [[nodiscard]] static std::uint64_t entry_at(unsigned level, std::uint64_t input) {
    const BitRange bits = Facts::kIndex[level];
    std::uint64_t index = 0;
    for (unsigned bit = bits.low; bit <= bits.high; ++bit)
      index += (input >> bit & 1) << (bit - bits.low);
    return table_at(level) + 8 * index;
  }
  [[nodiscard]] std::vector<std::uint64_t> expected_loads(std::uint64_t input) const {
    std::vector<std::uint64_t> loads;
    for (unsigned level = levels_; level >= page_.level; --level)
      loads.push_back(entry_at(level, input));
    return loads;
  }

  // Forgets what the reader saw before.
  [[nodiscard]] WalkResult<Gpa> walk(std::uint64_t input, const Ask& ask = {}) {
    return walk(input, ask, Facts::rules());
  }
  [[nodiscard]] WalkResult<Gpa> walk(std::uint64_t input, const Ask& ask,
                                     const typename Format::Rules& rules) {
    reader.loads.clear();
    reader.updates.clear();
    return pagetables::walk<Format>(rules, reader, Gpa(table_at(levels_)), levels_, input, ask);
  }

  [[nodiscard]] unsigned levels() const { return levels_; }
  [[nodiscard]] const PageFact& page() const { return page_; }

  ScriptedReader reader;

 private:
  unsigned levels_;
  PageFact page_;
};

// Calls `body(path)` for every number of levels and every page size of the format.
template <typename Facts, typename Body>
void for_every_page(Body body) {
  for (const unsigned levels : Facts::kLevelCounts)
    for (const PageFact& page : Facts::pages(levels)) {
      SCOPED_TRACE(testing::Message()
                   << levels << " levels, page of 2^" << page.lg2 << " in level " << page.level);
      ScriptedPath<Facts> path(levels, page);
      body(path);
    }
}

// An input whose index is another one in every level, with an offset into the page.
template <typename Facts>
[[nodiscard]] std::uint64_t distinct_input(unsigned levels) {
  std::uint64_t input = 0x128;
  for (unsigned level = 1; level <= levels; ++level)
    input |= std::uint64_t{level + 8} << Facts::kIndex[level].low;
  return input;
}

#define EXPECT_STOPPED(result, why, at_level, at_entry)                              \
  do {                                                                               \
    const auto& stopped_ = (result);                                                 \
    ASSERT_FALSE(stopped_.ok());                                                     \
    EXPECT_EQ(stopped_.error().reason, (why)) << to_string(stopped_.error().reason); \
    EXPECT_EQ(stopped_.error().level, (at_level));                                   \
    EXPECT_EQ(stopped_.error().entry_at, (at_entry));                                \
  } while (false)

}  // namespace weir::pagetables::facts
