// SPDX-License-Identifier: Apache-2.0
//
// A page-table format of one's own: built, walked, and nested over VT-d's second stage.
// docs/adding-a-format.md shows the same lines.
#include "examples/tiny_format.h"

#include <cstdio>
#include <memory>
#include <vector>

#include "pagetables/nested.h"
#include "pagetables/readers.h"
#include "pagetables/table_builder.h"
#include "pagetables/vtd_second_stage.h"

using namespace weir;
using namespace weir::pagetables;

int main() {
  // 64 pages of memory, handed out one by one.
  std::vector<std::uint64_t> ram(64 * kPageSize / 8);
  const PhysicalMemory memory(std::make_shared<GuestMemory>(
      GuestMemory::single(Hpa(0), std::as_writable_bytes(std::span(ram)))));
  std::uint64_t next = 0;
  const auto page = [&] { return std::optional(Gpa(kPageSize * ++next)); };

  // One stage: a page of 4 KiB and one of 2 MiB, then what a walk makes of them.
  TableBuilder<tiny::Format> tables(memory, {}, *page(), 2, page);
  if (!tables.map(0x5000, 0x1000, Gpa(0x9000), Permissions::read_only(), 12)) return 1;
  if (!tables.map(0x200000, 0x200000, Gpa(0x40000000), Permissions::all(), 21)) return 1;
  DirectReader reader(memory);
  const auto walk_tiny = [&](std::uint64_t input, Access access) {
    return walk<tiny::Format>({}, reader, tables.root(), 2, input, {.access = access});
  };
  const auto small = walk_tiny(0x5123, Access::kRead);
  const auto large = walk_tiny(0x345678, Access::kWrite);
  const auto refused = walk_tiny(0x5123, Access::kWrite);
  if (!small || small->translate(0x5123) != Gpa(0x9123) || small->references != 2) return 1;
  if (!large || large->translate(0x345678) != Gpa(0x40145678) || large->references != 1) return 1;
  if (refused || refused.error().reason != FaultReason::kNoWritePermission) return 1;

  // Two stages: the same tables, but every address in them is now one that a second stage
  // translates. It leaves the first 2 MiB where they are and moves the rest.
  constexpr auto kRules = VtdSecondStage::rules({});
  TableBuilder<VtdSecondStage> second(memory, kRules, *page(), 3, page);
  if (!second.map(0, 0x200000, Gpa(0), Permissions::all(), 12)) return 1;
  if (!second.map(0x40000000, 0x200000, Gpa(0x80000000), Permissions::all(), 21)) return 1;
  const auto lower = [&](std::uint64_t address, const Ask& ask) {
    auto leaf = walk<VtdSecondStage>(kRules, reader, second.root(), 3, address, ask);
    if (!leaf) leaf.error().stage = Stage::kStage2;
    return leaf;
  };
  const auto nested = nested_walk<tiny::Format>({}, Ipa(tables.root().value()), 2, lower, reader,
                                                0x345678, {.access = Access::kWrite});
  // One entry of ours, found through three of theirs; then two for the page, which is a large one.
  if (!nested || nested->translate(0x345678) != Gpa(0x80145678)) return 1;
  if (nested->references() != 3 + 1 + 2) return 1;

  std::printf("one stage: %u reference, nested: %u\n", large->references, nested->references());
  return 0;
}
