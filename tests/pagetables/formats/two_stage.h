// SPDX-License-Identifier: Apache-2.0
//
// Stage-1 tables over stage-2 tables, in any two formats: every stage-1 table page, and the page
// that the input leads to, lies at an intermediate address of its own that differs from the others
// in every stage-2 index it can, so that what one entry of stage 2 does to the walk shows in one
// place. The same stage-2 tables serve as a radix host map.
#pragma once

#include <gtest/gtest.h>

#include "pagetables/nested.h"
#include "pagetables/radix_host_map.h"
#include "pagetables/readers.h"
#include "pagetables/table_builder.h"
#include "tests/pagetables/formats/scripted_path.h"
#include "tests/pagetables/formats/table_ram.h"

namespace weir::pagetables::facts {

// The highest bit, plus one, of what a table of so many levels takes without sign extension.
template <typename Facts>
[[nodiscard]] unsigned reach(unsigned levels) {
  for (unsigned bit = 63;; --bit)
    if (Facts::accepts(std::uint64_t{1} << bit, levels)) return bit + 1;
}

template <typename UpperFacts, typename LowerFacts>
class TwoStage {
 public:
  using Upper = typename UpperFacts::Format;
  using Lower = typename LowerFacts::Format;

  struct Shape {
    unsigned upper_levels;
    PageFact upper_page{12, 1, 1};
    unsigned lower_levels;
    PageFact lower_page{12, 1, 1};
  };
  // A stage 2 that is too small for its pages, beside the tables of stage 1, cannot be built.
  [[nodiscard]] static bool possible(const Shape& shape) {
    return shape.upper_page.level <= shape.upper_levels &&
           shape.lower_page.level <= shape.lower_levels &&
           std::max(shape.upper_page.lg2, shape.lower_page.lg2) + 4 <=
               std::min(reach<LowerFacts>(shape.lower_levels), 52U);
  }

  explicit TwoStage(const Shape& shape)
      : shape_(shape),
        lower_(ram.physical(), LowerFacts::rules(), *ram.allocate(), shape.lower_levels,
               [this] { return ram.allocate(); }) {
    // Page `tables_` is where the input leads.
    tables_ = shape.upper_levels - shape.upper_page.level + 1;
    input_ = distinct_input<UpperFacts>(shape.upper_levels);
    std::vector<MemorySlot> slots;
    for (unsigned i = 0; i < tables_; ++i) {
      const Gpa page = *ram.allocate();
      ipas_.push_back(spread(i, shape.lower_page.lg2) + page.page_offset(shape.lower_page.lg2));
      slots.push_back({Gpa(ipas_[i]), kPageSize, Hpa(page.value())});
      map_lower(ipas_[i], page.page_base(shape.lower_page.lg2).value());
    }
    const unsigned lg2 = std::max(shape.upper_page.lg2, shape.lower_page.lg2);
    upper_output_ = spread(tables_, lg2);
    const std::uint64_t inside = (std::uint64_t{1} << shape.upper_page.lg2) - 1;
    ipas_.push_back(upper_output_ + (input_ & inside));
    map_lower(ipas_.back(), kOutput >> shape.lower_page.lg2 << shape.lower_page.lg2);

    // Stage 1 as its guest sees it: its pages at their intermediate addresses.
    const PhysicalMemory guest(
        ram.memory(), std::make_shared<MemorySlots>(*MemorySlots::create(std::move(slots))));
    unsigned next = 1;
    TableBuilder<Upper> upper(guest, UpperFacts::rules(), Gpa(ipas_[0]), shape.upper_levels,
                              [&] { return std::optional(Gpa(ipas_[next++])); });
    const auto mapped = upper.map(input_ & ~inside, inside + 1, Gpa(upper_output_),
                                  Permissions::all(), shape.upper_page.lg2);
    EXPECT_TRUE(mapped.ok());
    EXPECT_EQ(next, tables_);
  }
  TwoStage(const TwoStage&) = delete;
  TwoStage& operator=(const TwoStage&) = delete;

  [[nodiscard]] WalkResult<Gpa> walk_lower(std::uint64_t address, const Ask& ask) {
    DirectReader reader(ram.physical());
    auto leaf = walk<Lower>(lower_rules, reader, lower_.root(), shape_.lower_levels, address, ask);
    if (!leaf) leaf.error().stage = Stage::kStage2;
    return leaf;
  }
  [[nodiscard]] auto walk_nested(const Ask& ask = {}) {
    DirectReader reader(ram.physical());
    const auto lower = [this](std::uint64_t address, const Ask& a) {
      return walk_lower(address, a);
    };
    return nested_walk<Upper>(upper_rules, Ipa(ipas_[0]), shape_.upper_levels, lower, reader,
                              input_, ask);
  }
  // The lower tables as the embedder's host map, stage 1 as the guest's only one.
  [[nodiscard]] std::shared_ptr<HostMap> host_map() const {
    return std::make_shared<RadixHostMap<Lower>>(ram.memory(), LowerFacts::rules(),
                                                 Hpa(lower_.root().value()), shape_.lower_levels);
  }

  // Intermediate addresses in the order in which a walk needs them: tables from the root down, then
  // where the input leads.
  [[nodiscard]] const std::vector<std::uint64_t>& ipas() const { return ipas_; }
  [[nodiscard]] std::uint64_t input() const { return input_; }
  [[nodiscard]] std::uint64_t root() const { return ipas_[0]; }
  [[nodiscard]] Gpa lower_root() const { return lower_.root(); }
  [[nodiscard]] const Shape& shape() const { return shape_; }
  // Where stage 2 puts the last byte asked for.
  [[nodiscard]] std::uint64_t output() const {
    const std::uint64_t inside = (std::uint64_t{1} << shape_.lower_page.lg2) - 1;
    return (kOutput & ~inside) + (ipas_.back() & inside);
  }
  [[nodiscard]] std::uint64_t lower_entry_at(std::uint64_t ipa, unsigned level) {
    return lower_.entry_at(ipa, level)->value();
  }
  // How far into its table the stage-2 entry for `ipa` lies.
  [[nodiscard]] std::uint64_t lower_entry_at_offset(std::uint64_t ipa, unsigned level) const {
    return ScriptedPath<LowerFacts>::entry_at(level, ipa) -
           ScriptedPath<LowerFacts>::table_at(level);
  }
  // Where the upper entry of `level` lies: its intermediate address, and its place in memory.
  [[nodiscard]] std::uint64_t upper_entry_at(unsigned level) const {
    return ipas_[shape_.upper_levels - level] + upper_offset(level);
  }
  [[nodiscard]] std::uint64_t& upper_word(unsigned level) {
    return ram.at(walk_lower(upper_entry_at(level), {})->translate(upper_entry_at(level)).value());
  }

  TableRam ram;
  typename Upper::Rules upper_rules = UpperFacts::rules();
  typename Lower::Rules lower_rules = LowerFacts::rules();

 private:
  static constexpr std::uint64_t kOutput = 0x0008'0000'0000'0000 >> 8;  // outside the RAM

  [[nodiscard]] std::uint64_t upper_offset(unsigned level) const {
    return ScriptedPath<UpperFacts>::entry_at(level, input_) -
           ScriptedPath<UpperFacts>::table_at(level);
  }
  // A multiple of 2^lg2 that differs from those of other numbers in each index above.
  [[nodiscard]] std::uint64_t spread(unsigned number, unsigned lg2) const {
    std::uint64_t address = 0;
    const unsigned end = std::min(reach<LowerFacts>(shape_.lower_levels), 52U);
    for (unsigned level = 1; level <= shape_.lower_levels; ++level) {
      const unsigned low = std::max(LowerFacts::kIndex[level].low, lg2);
      if (low + 4 <= end && low <= LowerFacts::kIndex[level].high)
        address |= std::uint64_t{number + 1} << low;
    }
    return address;
  }
  void map_lower(std::uint64_t ipa, std::uint64_t output) {
    const std::uint64_t size = std::uint64_t{1} << shape_.lower_page.lg2;
    const auto mapped =
        lower_.map(ipa & ~(size - 1), size, Gpa(output), Permissions::all(), shape_.lower_page.lg2);
    EXPECT_TRUE(mapped.ok());
  }

  const Shape shape_;
  TableBuilder<Lower> lower_;
  unsigned tables_ = 0;
  std::uint64_t input_ = 0;
  std::uint64_t upper_output_ = 0;
  std::vector<std::uint64_t> ipas_;
};

}  // namespace weir::pagetables::facts
