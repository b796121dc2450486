// SPDX-License-Identifier: Apache-2.0
//
// Tables to walk: 4 GiB of device addresses in pages of 4 KiB, mapped once by a stage of its own
// (one-stage) and once by an x86 stage 1 over a VT-d stage 2 (nested), four levels each. Pages lie
// scattered, as in a guest that has run for a while: neighbours on one side are none on the other.
// Only the tables have memory behind them; a walk does not touch what it finds.
//
// Constant after construction, but for accessed bits, which are all set by then; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "pagetables/physical_memory.h"
#include "pagetables/vtd_second_stage.h"
#include "pagetables/x86_first_stage.h"

namespace weir::bench {

class WalkWorld {
 public:
  static constexpr std::uint64_t kPages = std::uint64_t{1} << 20;
  static constexpr unsigned kLevels = 4;
  static constexpr Iova kFirst{std::uint64_t{1} << 32};
  static constexpr auto kStage1 = pagetables::X86FirstStage::rules({});
  static constexpr auto kStage2 = pagetables::VtdSecondStage::rules({});

  // Throws std::runtime_error where a page translates to the wrong place.
  WalkWorld();

  [[nodiscard]] const pagetables::PhysicalMemory& memory() const { return memory_; }
  [[nodiscard]] Gpa one_stage_root() const { return one_stage_root_; }
  [[nodiscard]] Ipa stage1_root() const { return stage1_root_; }
  [[nodiscard]] Gpa stage2_root() const { return stage2_root_; }

  [[nodiscard]] static Gpa expected(std::uint64_t page) { return gpa_of(ipa_of(page)); }

  // The baselines: nothing but the loads, each address made of the word before. No check, no count.
  [[nodiscard]] std::uint64_t bare_one_stage(std::uint64_t iova) const {
    return down(one_stage_root_.value(), iova) | (iova & (kPageSize - 1));
  }
  [[nodiscard]] std::uint64_t bare_nested(std::uint64_t iova) const {
    std::uint64_t table = stage1_root_.value();
    for (unsigned shift = 39; shift >= kPageLg2; shift -= 9)
      table = word(bare_stage2(table + (iova >> shift & 511) * 8)) & kAddressMask;
    return bare_stage2(table | (iova & (kPageSize - 1)));
  }

 private:
  static constexpr std::uint64_t kTableBytes = std::uint64_t{32} << 20;
  static constexpr std::uint64_t kTableIpa = std::uint64_t{1} << 38;  // stage 1's tables from here
  static constexpr std::uint64_t kDataIpa = std::uint64_t{1} << 34;
  static constexpr std::uint64_t kDataGpa = std::uint64_t{1} << 36;
  static constexpr std::uint64_t kAddressMask = bit_mask(51, kPageLg2);

  [[nodiscard]] static std::uint64_t scatter(std::uint64_t page, std::uint64_t by) {
    return page * by & (kPages - 1);  // `by` is odd, so this is one to one
  }
  [[nodiscard]] static Ipa ipa_of(std::uint64_t page) {
    return Ipa(kDataIpa + (scatter(page, 0x9e375) << kPageLg2));
  }
  [[nodiscard]] static Gpa gpa_of(Ipa ipa) {
    const std::uint64_t page = (ipa.value() - kDataIpa) >> kPageLg2;
    return Gpa(kDataGpa + (scatter(page, 0x51ed7) << kPageLg2));
  }

  [[nodiscard]] std::uint64_t word(std::uint64_t at) const { return words_[at / 8]; }
  [[nodiscard]] std::uint64_t down(std::uint64_t table, std::uint64_t input) const {
    for (unsigned shift = 39; shift >= kPageLg2; shift -= 9)
      table = word(table + (input >> shift & 511) * 8) & kAddressMask;
    return table;
  }
  [[nodiscard]] std::uint64_t bare_stage2(std::uint64_t ipa) const {
    return down(stage2_root_.value(), ipa) | (ipa & (kPageSize - 1));
  }

  void check() const;

  std::vector<std::uint64_t> words_;
  pagetables::PhysicalMemory memory_;
  Gpa one_stage_root_;
  Ipa stage1_root_;
  Gpa stage2_root_;
};

}  // namespace weir::bench
