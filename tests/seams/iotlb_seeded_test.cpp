// SPDX-License-Identifier: Apache-2.0
//
// Bugs seeded into the IOTLB itself, each caught by its schedule and by name.
#include "iotlb/iotlb.h"
#include "tests/seams/verdict.h"

namespace weir::seam {
namespace {

using iotlb::Entry;
using iotlb::Iotlb;
using iotlb::Scope;

constexpr iotlb::Tag kTag{DomainId{1}};

[[nodiscard]] Entry entry(std::uint64_t page, std::uint64_t output, std::uint8_t lg2 = kPageLg2) {
  return {.tag = kTag,
          .page = Iova(page),
          .output = output,
          .page_lg2 = lg2,
          .permissions = Permissions::read_write()};
}

// A set that is full; one entry takes another's place and stands half-written.
Verdict look_while_an_entry_is_written() {
  Iotlb tlb({.entries = Iotlb::kWays});
  constexpr std::uint64_t kPages = 4 * Iotlb::kWays;
  for (std::uint64_t page = 0; page < kPages; ++page)
    (void)tlb.fill(tlb.begin_fill(kTag.domain), entry(page << 12, (0x1000 + page) << 12));
  constexpr Iova kNewPage{0x100000};
  constexpr std::uint64_t kNewOutput = 0x7000000;
  Actor writer(
      [&] { (void)tlb.fill(tlb.begin_fill(kTag.domain), entry(kNewPage.value(), kNewOutput)); });
  if (!writer.run_to(Point::kHalfFilled)) return Verdict::kWrongSchedule;
  if (const auto hit = tlb.lookup(kTag, kNewPage); hit && hit->output != kNewOutput)
    return Verdict::kTornEntry;
  for (std::uint64_t page = 0; page < kPages; ++page)
    if (const auto hit = tlb.lookup(kTag, Iova(page << 12));
        hit && hit->output != (0x1000 + page) << 12)
      return Verdict::kTornEntry;
  writer.finish();
  const auto hit = tlb.lookup(kTag, kNewPage);
  return hit && hit->output == kNewOutput ? Verdict::kKept : Verdict::kWrongSchedule;
}

TEST(SeededIotlb, ATornEntry) {
  expect_caught(Bug::kTornEntry, Verdict::kTornEntry, look_while_an_entry_is_written);
}

// A fill that was not refused is half done when its page is invalidated: the one waits for the
// other, though there is nothing to be seen yet.
Verdict invalidate_while_an_entry_is_written() {
  Iotlb tlb({.entries = 64});
  constexpr Iova kPage{0x5000};
  Actor writer([&] { (void)tlb.fill(tlb.begin_fill(kTag.domain), entry(kPage.value(), 0x9000)); });
  if (!writer.run_to(Point::kHalfFilled)) return Verdict::kWrongSchedule;
  Actor guest([&] {
    (void)tlb.invalidate(
        {.scope = Scope::kRange, .domain = kTag.domain, .range = {kPage, kPage + 0xfff}});
  });
  (void)guest.run_to(Point::kSetIsHeld);
  writer.finish();
  guest.finish();
  return tlb.lookup(kTag, kPage) ? Verdict::kLeftBehind : Verdict::kKept;
}

TEST(SeededIotlb, ASetThatIsNotLookedAt) {
  expect_caught(Bug::kSetNotLookedAt, Verdict::kLeftBehind, invalidate_while_an_entry_is_written);
}

// A page in the middle of a large one is invalidated: the large one goes.
Verdict invalidate_a_part_of_a_superpage() {
  Iotlb tlb({.entries = 64});
  for (const std::uint8_t lg2 : {std::uint8_t{21}, std::uint8_t{30}}) {
    (void)tlb.fill(tlb.begin_fill(kTag.domain), entry(0x40000000, 0x80000000, lg2));
    if (!tlb.lookup(kTag, Iova(0x40000000))) return Verdict::kWrongSchedule;
    (void)tlb.invalidate({.scope = Scope::kRange,
                          .domain = kTag.domain,
                          .range = {Iova(0x40005000), Iova(0x40005fff)}});
    for (const std::uint64_t at : {0x40000000ULL, 0x40005000ULL, 0x401fffffULL})
      if (tlb.lookup(kTag, Iova(at))) return Verdict::kNotRemoved;
  }
  return Verdict::kKept;
}

TEST(SeededIotlb, APartialSuperpageRemoval) {
  expect_caught(Bug::kPartialSuperpage, Verdict::kNotRemoved, invalidate_a_part_of_a_superpage);
}

// Four bits of generation come round after sixteen flushes; no entry comes with them.
template <typename Options>
Verdict flush_until_the_numbers_come_round() {
  Options options{.entries = 64};
  options.generation_bits = 4;
  Iotlb tlb(options);
  (void)tlb.fill(tlb.begin_fill(kTag.domain), entry(0x5000, 0x9000));
  if (!tlb.lookup(kTag, Iova(0x5000))) return Verdict::kWrongSchedule;
  for (int flushes = 0; flushes < 64; ++flushes) {
    (void)tlb.invalidate({.scope = Scope::kDomain, .domain = kTag.domain});
    if (tlb.lookup(kTag, Iova(0x5000))) return Verdict::kLeftBehind;
  }
  return Verdict::kKept;
}

// An IOTLB whose entries have no generation has nothing that could come round.
template <typename Options>
void expect_no_wrap() {
  if constexpr (requires(Options options) { options.generation_bits; })
    expect_caught(Bug::kGenerationWrap, Verdict::kLeftBehind,
                  flush_until_the_numbers_come_round<Options>);
}

TEST(SeededIotlb, AGenerationThatWraps) { expect_no_wrap<iotlb::IotlbOptions>(); }

}  // namespace
}  // namespace weir::seam
