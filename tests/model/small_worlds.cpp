// SPDX-License-Identifier: Apache-2.0
#include "tests/model/small_worlds.h"

#include "tests/model/entry_maker.h"
#include "tests/model/small_world_parts.h"

namespace weir::model {
namespace {

constexpr std::uint64_t kPage = PagedImage::kPageBytes;
constexpr std::uint64_t kOutput = 0x6000000000 >> 4;  // above the image, below every width

// One table for each level, page n for level n; entries 0, 1 and 2 of each lead to the next table.
// The first level's lead to memory.
World chain(Format format) {
  const unsigned levels = levels_of(format);
  std::visit([&](auto& f) { f.root = levels * kPage; }, format);
  World world(levels + 1);
  world.upper = format;
  for (unsigned level = 1; level <= levels; ++level) {
    for (std::uint64_t n = 0; n < 3; ++n) {
      const std::uint64_t entry = level == 1 ? leaf_entry(format, 1, kOutput + n * kPage, 12)
                                             : table_entry(format, (level - 1) * kPage, level - 1);
      world.image.store(level * kPage + 8 * n, entry);
    }
  }
  world.image.make_absent(0);
  return world;
}

// All digits 0, all 1, and only the first 2: with and without bits for a skipped level to mind.
std::vector<std::uint64_t> inputs(const Format& format) {
  std::uint64_t ones = 0x123;
  for (unsigned level = 1; level <= levels_of(format); ++level) ones |= bit(level_lg2(level));
  return {0x10, ones, 0x20 | std::uint64_t{2} << level_lg2(levels_of(format))};
}

std::uint64_t visit_all(World& world, const std::vector<Ask>& all, const Visit& visit) {
  std::uint64_t visits = 0;
  for (const std::uint64_t input : inputs(world.upper)) {
    for (Ask ask : all) {
      ask.input = input;
      visit(world, ask);
      ++visits;
    }
  }
  return visits;
}

// Puts `word` where every one of the inputs comes by.
void put(World& world, unsigned level, std::uint64_t word) {
  for (std::uint64_t n = 0; n < 3; ++n) world.image.store(level * kPage + 8 * n, word);
}

std::vector<std::uint64_t> upper_bits(const Format& format) {
  if (std::holds_alternative<AmdV1>(format)) {
    const std::uint64_t both = bit(61) | bit(62);
    return {both,
            bit(61),
            bit(62),
            0,
            both | bit(52),
            both | bit(57),
            both | bit(59),
            both | bit(60),
            both | bit(63),
            both | bit(51),
            both | bits(50, 12)};
  }
  return {0,      bit(63), bit(62), bit(52), bit(51), bit(output_width(format) - 1), bits(20, 12),
          bit(29)};
}

std::uint64_t next_address(unsigned level) { return level == 1 ? kOutput : (level - 1) * kPage; }

}  // namespace

std::vector<Format> small_world_formats() {
  std::vector<Format> all;
  for (unsigned levels = 3; levels <= 5; ++levels) {
    all.emplace_back(VtdSecondStage{.levels = levels, .host_width = 46});
    all.emplace_back(VtdSecondStage{.levels = levels,
                                    .host_width = 52,
                                    .pages_2m = false,
                                    .pages_1g = false,
                                    .snoop_control = true,
                                    .accessed_dirty = true});
  }
  for (unsigned levels = 4; levels <= 5; ++levels) {
    all.emplace_back(X86FirstStage{.levels = levels, .host_width = 46, .extended_accessed = true});
    all.emplace_back(X86FirstStage{.levels = levels,
                                   .pages_1g = false,
                                   .no_execute = false,
                                   .write_protect = false,
                                   .smep = true});
    all.emplace_back(X86FirstStage{
        .vendor = X86FirstStage::Vendor::kAmd, .levels = levels, .sign_extended = false});
  }
  for (unsigned mode = 1; mode <= 6; ++mode)
    all.emplace_back(AmdV1{.mode = mode, .set_accessed = mode % 2 == 0, .set_dirty = mode == 4});
  return all;
}

std::uint64_t visit_one_entry_worlds(const Format& format, const Visit& visit, unsigned stride) {
  std::uint64_t visits = 0;
  World world = chain(format);
  const std::vector<Ask> all = every_ask(world.upper);
  for (unsigned level = 1; level <= levels_of(format); ++level) {
    const World whole = world;
    for (const std::uint64_t upper : upper_bits(format)) {
      for (std::uint64_t low = 0; low < 4096; low += stride) {
        put(world, level, next_address(level) | upper | low);
        visits += visit_all(world, all, visit);
      }
    }
    world = whole;
  }
  return visits;
}

std::uint64_t visit_two_entry_worlds(const Format& format, const Visit& visit) {
  std::uint64_t visits = 0;
  World world = chain(format);
  const std::vector<Ask> all = every_ask(world.upper);
  const std::vector<std::uint64_t> which = pair_bits(format);
  const std::uint64_t combinations = bit(static_cast<unsigned>(which.size()));
  for (unsigned level = 2; level <= levels_of(format); ++level) {
    const World whole = world;
    for (std::uint64_t high = 0; high < combinations; ++high) {
      put(world, level, next_address(level) | spread(high, which));
      for (std::uint64_t low = 0; low < combinations; ++low) {
        put(world, level - 1, next_address(level - 1) | spread(low, which));
        visits += visit_all(world, all, visit);
      }
    }
    world = whole;
  }
  return visits;
}

}  // namespace weir::model
