// SPDX-License-Identifier: Apache-2.0
#include "tests/model/random_image.h"

#include <algorithm>

#include "tests/model/entry_maker.h"
#include "tests/model/mutations.h"
#include "tests/model/table_planter.h"

namespace weir::model {
namespace {

// Enough for three paths through six levels over six, and a page that is absent.
constexpr std::size_t kPages = 64;

void set_root(Format& format, std::uint64_t root) {
  std::visit([root](auto& f) { f.root = root; }, format);
}

std::uint64_t random_within(Random& random, unsigned width) {
  return random.next() & (width >= 64 ? ~std::uint64_t{0} : bit(width) - 1);
}

// An input whose digits are often the first, the last or the second of a table, so that paths meet
// and levels can be skipped.
std::uint64_t random_input(const Format& format, Random& random) {
  const unsigned width = input_width(format);
  std::uint64_t input = random_within(random, 12);
  for (unsigned level = levels_of(format); level >= 1; --level) {
    const std::uint64_t digits[] = {0, 0, 0, 1, 511, random.below(512)};
    input |= digits[random.below(6)] << level_lg2(level);
  }
  if (width < 64) input &= bit(width) - 1;
  const auto* fs = std::get_if<X86FirstStage>(&format);
  if (fs != nullptr && fs->sign_extended && has(input, bit(width - 1)))
    input |= bits(63, width - 1);
  return input;
}

void plant_one_stage(World& world, TablePlanter& planter, Random& random) {
  const unsigned width = output_width(world.upper);
  for (unsigned path = 0; path < 3; ++path) {
    const std::uint64_t input = random_input(world.upper, random);
    const auto leaf = planter.plant(input, random_within(random, width), 51, random);
    if (leaf) world.targets.push_back({input, *leaf});
  }
}

// The upper tables' pages lie in the lower stage's input space from `offset` up, in their order.
void plant_two_stages(World& world, PageSupply& supply, std::vector<Place>& places,
                      Random& random) {
  Format& lower = *world.lower;
  // The lower half of a sign-extended space is enough.
  const bool signed_input = std::holds_alternative<X86FirstStage>(lower);
  const unsigned width =
      std::min(input_width(lower) - (signed_input ? 1 : 0), output_width(world.upper));
  const std::uint64_t offset = random_within(random, width) & ~bits(29, 0);

  const std::size_t upper_root = supply.take();
  set_root(world.upper, offset + upper_root * PagedImage::kPageBytes);
  TablePlanter above(world.upper, world.image, supply, upper_root, offset, Stage::kStage1, places);
  const std::size_t lower_root = supply.take();
  set_root(lower, lower_root * PagedImage::kPageBytes);
  TablePlanter below(lower, world.image, supply, lower_root, 0, Stage::kStage2, places);

  // The tables themselves, and the absent page with them.
  const auto map_page = [&](std::uint64_t page) {
    const std::uint64_t at = page * PagedImage::kPageBytes;
    (void)below.plant(offset + at, at, 30, random);
  };
  for (unsigned path = 0; path < 2; ++path) {
    const std::uint64_t input = random_input(world.upper, random);
    const auto leaf = above.plant(input, random_within(random, width), 51, random);
    if (!leaf) continue;
    world.targets.push_back({input, *leaf});
    for (const std::size_t page : above.pages()) map_page(page);
    (void)below.plant(above.last_output(), random_within(random, output_width(lower)), 51, random);
  }
  map_page(kAbsentPage);
}

}  // namespace

std::string_view to_string(FormatKind kind) {
  switch (kind) {
    case FormatKind::kVtdSecondStage:
      return "VT-d second stage";
    case FormatKind::kVtdFirstStage:
      return "VT-d first stage";
    case FormatKind::kAmdV2:
      return "AMD-Vi v2";
    case FormatKind::kAmdV1:
      return "AMD-Vi v1";
  }
  return "unknown";
}

Format random_format(FormatKind kind, Random& random) {
  const std::vector<unsigned> host_widths = {39, 46, 52};
  switch (kind) {
    case FormatKind::kVtdSecondStage: {
      VtdSecondStage t;
      t.levels = random.between(3, 5);
      t.guest_width = random.chance(20) ? 39 : 57;
      t.host_width = random.pick(host_widths);
      t.pages_1g = random.chance(80);
      t.pages_2m = t.pages_1g || random.chance(80);  // prefix-closed (settled 2)
      t.snoop_control = random.chance(50);
      t.transient_leaf = random.chance(10);
      t.accessed_dirty = random.chance(50);
      return t;
    }
    case FormatKind::kVtdFirstStage: {
      X86FirstStage t;
      t.levels = random.between(4, 5);
      t.host_width = random.pick(host_widths);
      t.pages_1g = random.chance(80);
      t.no_execute = random.chance(70);
      t.write_protect = random.chance(50);
      t.supervisor = random.chance(85);
      t.execute_requests = random.chance(85);
      t.smep = random.chance(50);
      t.extended_accessed = random.chance(30);
      return t;
    }
    case FormatKind::kAmdV2: {
      X86FirstStage t;
      t.vendor = X86FirstStage::Vendor::kAmd;
      t.levels = random.between(4, 5);
      t.sign_extended = random.chance(60);
      t.no_execute = random.chance(70);
      t.set_accessed = random.chance(70);
      t.set_dirty = t.set_accessed && random.chance(80);
      return t;
    }
    case FormatKind::kAmdV1: {
      AmdV1 t;
      t.mode = std::min(6U, random.between(1, 8));
      t.memory_class = random.chance(20);
      t.set_accessed = random.chance(60);
      t.set_dirty = t.set_accessed && random.chance(70);
      return t;
    }
  }
  return AmdV1{};
}

Verdict World::expect(const Ask& ask) const {
  if (lower) return translate_nested(upper, *lower, ask, image);
  const bool first = std::holds_alternative<X86FirstStage>(upper);
  return translate(upper, ask, image, first ? Stage::kStage1 : Stage::kStage2);
}

World random_world(std::uint64_t seed, FormatKind upper, std::optional<FormatKind> lower) {
  Random random(seed);
  World world(kPages);
  world.upper = random_format(upper, random);
  if (lower) world.lower = random_format(*lower, random);

  PageSupply supply(kPages);
  std::vector<Place> places;
  if (lower) {
    plant_two_stages(world, supply, places, random);
  } else {
    const std::size_t root = supply.take();
    set_root(world.upper, root * PagedImage::kPageBytes);
    const Stage stage = upper == FormatKind::kVtdSecondStage || upper == FormatKind::kAmdV1
                            ? Stage::kStage2
                            : Stage::kStage1;
    TablePlanter planter(world.upper, world.image, supply, root, 0, stage, places);
    plant_one_stage(world, planter, random);
  }
  world.image.make_absent(kAbsentPage);
  if (world.targets.empty()) world.targets.push_back({});
  break_some(world, places, random);
  return world;
}

Ask random_ask(const World& world, Random& random) {
  Ask ask;
  const Target& target = random.pick(world.targets);
  const std::uint64_t within = bit(target.page_lg2) - 1;
  const std::uint64_t offset = random.chance(30) ? target.input : random.next();
  ask.input = (target.input & ~within) | (offset & within);
  const unsigned width = input_width(world.upper);
  const std::uint64_t where = random.below(100);
  if (where < 4) ask.input ^= bit(random.between(0, 63));
  if (where >= 4 && where < 6) ask.input = random_within(random, width);
  if (where >= 6 && where < 9 && width < 64) ask.input ^= bit(random.between(width - 1, 63));
  if (where == 9) ask.input = random.next();

  const std::uint64_t access = random.below(20);
  const bool x86 = std::holds_alternative<X86FirstStage>(world.upper);
  ask.read = access < 9;
  ask.write = access >= 7 && access < 17;  // 7, 8: an atomic
  ask.execute = access >= 17 && x86;
  if (access >= 17 && !x86) ask.read = true;
  ask.privileged = x86 && random.chance(20);
  ask.device_read = !random.chance(3);
  ask.device_write = !random.chance(3);
  return ask;
}

}  // namespace weir::model
