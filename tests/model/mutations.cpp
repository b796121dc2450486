// SPDX-License-Identifier: Apache-2.0
#include "tests/model/mutations.h"

#include "tests/model/entry_maker.h"

namespace weir::model {
namespace {

std::uint64_t random_bit_of(std::uint64_t mask, Random& random) {
  if (mask == 0) return 0;
  for (;;) {
    const std::uint64_t one = bit(random.between(0, 63));
    if (has(mask, one)) return one;
  }
}

// A place of an evenly chosen stage and level.
const Place& choose(const std::vector<Place>& places, Random& random) {
  const bool both = places.front().stage != places.back().stage;
  const Stage stage = both && random.chance(50) ? Stage::kStage1 : places.back().stage;
  for (;;) {
    const unsigned level = random.between(1, 6);
    std::vector<const Place*> here;
    for (const Place& p : places)
      if (p.stage == stage && p.level == level) here.push_back(&p);
    if (!here.empty()) return *random.pick(here);
  }
}

std::uint64_t broken(const Format& format, const Place& place, std::uint64_t entry,
                     std::uint64_t own_page, std::uint64_t absent_page, Random& random) {
  const RightBits rights = right_bits(format);
  const std::uint64_t address = bits(51, 12);
  switch (random.below(16)) {
    case 0:
      return 0;
    case 1:
      return ~std::uint64_t{0};
    case 2:
      return entry ^ bit(random.between(0, 63));
    case 3:  // down more than one level, whatever the skipped bits of the inputs are
      if (std::holds_alternative<AmdV1>(format) && place.level > 2 && random.chance(70))
        return (entry & ~shape_bits(format)) | std::uint64_t{random.between(1, place.level - 2)}
                                                   << 9;
      return entry ^ bit(random.between(0, 63)) ^ bit(random.between(0, 63));
    case 4:
      return entry & ~(rights.present | (rights.present == 0 ? rights.read | rights.write : 0));
    case 5:
      return (entry & ~rights.read) | rights.no_execute;
    case 6:
      return entry & ~rights.write;
    case 7:
      return entry & ~(rights.read | rights.write);
    case 8:
      return entry & ~(rights.user != 0 ? rights.user : rights.write);
    case 9:
      if (rights.no_execute == 0) return (entry & ~address) | absent_page;
      return entry | rights.no_execute;
    case 10:
      return entry | random_bit_of(sometimes_reserved(format), random);
    case 11:  // several things wrong at one entry: which is named first?
      return (entry & ~(random.chance(50) ? rights.write : rights.user | rights.read)) |
             random_bit_of(sometimes_reserved(format), random);
    case 12:  // a leaf where a table was, or the other way round, or a bad level
      return (entry & ~shape_bits(format)) | (random.next() & shape_bits(format));
    case 13:
      return (entry & ~address) | (random.chance(50) ? own_page : absent_page);
    case 14:  // a valid leaf of this level's own size, its low address bits by chance
      if (place.level > 1 && !leaf_sizes(format, place.level).empty()) {
        const unsigned lg2 = level_lg2(place.level);
        const std::uint64_t low = random.chance(50) ? random.next() & bits(lg2 - 1, 12) : 0;
        return leaf_entry(format, place.level, random.next() & bits(38, lg2), lg2) | low;
      }
      return random.next();
    default:  // bits that software may use, and those a walk sets
      return entry | random_bit_of(bits(10, 2) | bits(62, 52), random);
  }
}

void break_one(World& world, const std::vector<Place>& places, Random& random) {
  const Place& place = choose(places, random);
  const bool nested = world.lower.has_value();
  const Format& format = nested && place.stage != Stage::kStage1 ? *world.lower : world.upper;
  // The upper tables' pointers are shifted against the image by what the root is.
  const std::uint64_t offset =
      nested && place.stage == Stage::kStage1 ? root_of(world.upper) & ~bits(29, 0) : 0;
  const std::uint64_t own_page = offset + (place.at & ~bits(11, 0));
  const std::uint64_t absent_page = offset + kAbsentPage * PagedImage::kPageBytes;
  const std::uint64_t entry = *world.image.load(place.at);
  world.image.store(place.at, broken(format, place, entry, own_page, absent_page, random));
}

void break_a_root(World& world, Random& random) {
  Format& format = world.lower && random.chance(50) ? *world.lower : world.upper;
  const std::uint64_t root = random.chance(50) ? root_of(format) | bit(random.between(30, 56))
                                               : root_of(format) & ~bits(29, 0);
  std::visit([root](auto& f) { f.root = root; }, format);
}

}  // namespace

void break_some(World& world, const std::vector<Place>& places, Random& random) {
  if (places.empty()) return;
  // Two stages have twice as much to go wrong; enough has to succeed all the same.
  const unsigned untouched = world.lower ? 48 : 20;
  const std::uint64_t how = random.below(100);
  const unsigned times = how < untouched ? 0 : how < 75 ? 1 : how < 92 ? 2 : 4;
  for (unsigned n = 0; n < times; ++n) break_one(world, places, random);
  if (random.chance(4)) break_a_root(world, random);
  if (random.chance(20))
    world.image.make_read_only(choose(places, random).at / PagedImage::kPageBytes);
}

}  // namespace weir::model
