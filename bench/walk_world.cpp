// SPDX-License-Identifier: Apache-2.0
#include "bench/walk_world.h"

#include <stdexcept>

#include "pagetables/nested.h"
#include "pagetables/table_builder.h"

namespace weir::bench {
namespace {

using pagetables::DirectReader;
using pagetables::PhysicalMemory;
using pagetables::TableBuilder;
using pagetables::VtdSecondStage;
using pagetables::X86FirstStage;

void expect(bool good) {
  if (!good) throw std::runtime_error("the tables to walk are wrong");
}

}  // namespace

WalkWorld::WalkWorld()
    : words_(kTableBytes / 8),
      memory_(std::make_shared<GuestMemory>(
          GuestMemory::single(Hpa(0), std::as_writable_bytes(std::span(words_))))) {
  Gpa next{kPageSize};
  const auto take = [&next]() -> std::optional<Gpa> {
    if (next.value() >= kTableBytes) return std::nullopt;
    const Gpa page = next;
    next = next + kPageSize;
    return page;
  };
  const auto map = [](auto& builder, std::uint64_t from, std::uint64_t to) {
    expect(builder.map(from, kPageSize, Gpa(to), Permissions::read_write(), kPageLg2).ok());
  };

  TableBuilder<X86FirstStage> one_stage(memory_, kStage1, *take(), kLevels, take);
  for (std::uint64_t page = 0; page < kPages; ++page)
    map(one_stage, kFirst.value() + (page << kPageLg2), expected(page).value());
  one_stage_root_ = one_stage.root();

  TableBuilder<VtdSecondStage> stage2(memory_, kStage2, *take(), kLevels, take);
  stage2_root_ = stage2.root();
  for (std::uint64_t page = 0; page < kPages; ++page)
    map(stage2, ipa_of(page).value(), expected(page).value());

  // The builder writes through addresses that are its own output space: stage 1's tables are built
  // where they lie and then spoken of by their intermediate addresses.
  const Gpa first_of_stage1 = *take();
  const std::uint64_t apart = kTableIpa - first_of_stage1.value();
  TableBuilder<X86FirstStage> stage1(memory_, kStage1, first_of_stage1, kLevels, take);
  for (std::uint64_t page = 0; page < kPages; ++page)
    map(stage1, kFirst.value() + (page << kPageLg2), ipa_of(page).value());
  const Gpa end_of_stage1 = next;
  stage1_root_ = Ipa(kTableIpa);
  for (Gpa page = first_of_stage1; page < end_of_stage1; page = page + kPageSize) {
    for (std::uint64_t i = 0; i < 512; ++i) {
      std::uint64_t& entry = words_[page.value() / 8 + i];
      const std::uint64_t address = entry & kAddressMask;
      if (first_of_stage1.value() <= address && address < end_of_stage1.value()) entry += apart;
    }
    map(stage2, page.value() + apart, page.value());
  }
  check();
}

// Also sets every accessed bit, so that what is measured is walks and not first walks.
void WalkWorld::check() const {
  for (std::uint64_t page = 0; page < kPages; ++page) {
    const std::uint64_t iova = kFirst.value() + (page << kPageLg2);
    DirectReader reader(memory_);
    const auto one =
        pagetables::walk<X86FirstStage>(kStage1, reader, one_stage_root_, kLevels, iova, Ask{});
    expect(one && one->page == expected(page) && one->references == kLevels);
    const auto lower = [&](std::uint64_t address, const Ask& ask) {
      return pagetables::walk<VtdSecondStage>(kStage2, reader, stage2_root_, kLevels, address, ask);
    };
    const auto nested = pagetables::nested_walk<X86FirstStage>(kStage1, stage1_root_, kLevels,
                                                               lower, reader, iova, Ask{});
    expect(nested && nested->translate(iova) == expected(page));
    expect(bare_one_stage(iova) == expected(page).value());
    expect(bare_nested(iova) == expected(page).value());
  }
}

}  // namespace weir::bench
