// SPDX-License-Identifier: Apache-2.0
#include "tests/model/nested_small_worlds.h"

#include "tests/model/entry_maker.h"
#include "tests/model/small_world_parts.h"

namespace weir::model {
namespace {

constexpr std::uint64_t kPage = PagedImage::kPageBytes;

// Page 0 is where everything leads, pages 1 and up are the upper stage's tables by level, then the
// lower's. The lower stage leaves every page where it is; entries 0 and 1 of the upper's tables
// lead to the next one.
class NestedChain {
 public:
  NestedChain(const Format& upper, const Format& lower)
      : upper_levels_(levels_of(upper)),
        lower_levels_(levels_of(lower)),
        world_(upper_levels_ + lower_levels_ + 1) {
    world_.upper = with_root(upper, upper_levels_ * kPage);
    world_.lower = with_root(lower, (upper_levels_ + lower_levels_) * kPage);
    for (unsigned level = 1; level <= upper_levels_; ++level) put_upper(level, whole(true, level));
    for (unsigned level = 2; level <= lower_levels_; ++level)
      world_.image.store(lower_at(level, 0), whole(false, level));
    for (std::uint64_t page = 0; page <= upper_levels_; ++page)
      world_.image.store(lower_at(1, page), leaf_entry(lower, 1, page * kPage, 12));
    world_.targets.push_back({});
  }

  [[nodiscard]] World& world() { return world_; }
  // Where lower entries are changed: level 1 has one for each page, the others one for all.
  [[nodiscard]] std::vector<std::pair<unsigned, std::uint64_t>> lower_places() const {
    std::vector<std::pair<unsigned, std::uint64_t>> places = {{1, 0}, {1, 1}};
    if (upper_levels_ > 1) places.emplace_back(1, upper_levels_);
    for (unsigned level = 2; level <= lower_levels_; ++level) places.emplace_back(level, 0);
    return places;
  }
  [[nodiscard]] std::uint64_t lower_at(unsigned level, std::uint64_t n) const {
    return (upper_levels_ + level) * kPage + 8 * n;
  }
  void put_upper(unsigned level, std::uint64_t entry) {
    for (std::uint64_t n = 0; n < 2; ++n) world_.image.store(level * kPage + 8 * n, entry);
  }
  // An entry of these bits that leads where its level's does; a leaf of a higher level to page 0,
  // as it has to be aligned.
  [[nodiscard]] std::uint64_t upper_entry(unsigned level, std::uint64_t bits) const {
    const bool leaf = level == 1 || is_leaf(world_.upper, bits);
    return bits | (leaf ? 0 : (level - 1) * kPage);
  }
  [[nodiscard]] std::uint64_t lower_entry(unsigned level, std::uint64_t n,
                                          std::uint64_t bits) const {
    if (level == 1) return bits | n * kPage;
    return bits | (is_leaf(*world_.lower, bits) ? 0 : (upper_levels_ + level - 1) * kPage);
  }

 private:
  [[nodiscard]] static Format with_root(Format format, std::uint64_t root) {
    std::visit([root](auto& f) { f.root = root; }, format);
    return format;
  }
  [[nodiscard]] static bool is_leaf(const Format& format, std::uint64_t bits) {
    const std::uint64_t shape = bits & shape_bits(format);
    return std::holds_alternative<AmdV1>(format) ? shape == 0 : shape != 0;
  }
  [[nodiscard]] std::uint64_t whole(bool upper, unsigned level) const {
    const Format& format = upper ? world_.upper : *world_.lower;
    if (level == 1) return leaf_entry(format, 1, 0, 12);
    return table_entry(format, ((upper ? 0 : upper_levels_) + level - 1) * kPage, level - 1);
  }

  unsigned upper_levels_;
  unsigned lower_levels_;
  World world_;
};

std::vector<std::uint64_t> combinations(const Format& format) {
  const std::vector<std::uint64_t> onto = pair_bits(format);
  std::vector<std::uint64_t> all(std::size_t{1} << onto.size());
  for (std::size_t n = 0; n < all.size(); ++n) all[n] = spread(n, onto);
  return all;
}

std::vector<Ask> requests(const Format& upper, Inputs inputs) {
  std::vector<Ask> all;
  std::uint64_t ones = 0x123;
  for (unsigned level = 1; level <= levels_of(upper); ++level) ones |= bit(level_lg2(level));
  for (Ask ask : every_ask(upper)) {
    ask.input = 0x10;
    all.push_back(ask);
    ask.input = ones;
    if (inputs == Inputs::kZeroAndOneDigits) all.push_back(ask);
  }
  return all;
}

}  // namespace

std::vector<std::pair<Format, Format>> nested_small_world_formats() {
  const auto formats = [](bool accessed_dirty) {
    return std::vector<Format>{
        VtdSecondStage{.levels = 3, .host_width = 46, .accessed_dirty = accessed_dirty},
        X86FirstStage{.levels = 4, .host_width = 46, .extended_accessed = accessed_dirty},
        X86FirstStage{.vendor = X86FirstStage::Vendor::kAmd,
                      .levels = 4,
                      .sign_extended = false,
                      .set_accessed = accessed_dirty,
                      .set_dirty = accessed_dirty},
        AmdV1{.mode = accessed_dirty ? 2U : 3U,
              .set_accessed = accessed_dirty,
              .set_dirty = accessed_dirty}};
  };
  std::vector<std::pair<Format, Format>> pairs;
  for (const bool accessed_dirty : {false, true})
    for (const Format& upper : formats(accessed_dirty))
      for (const Format& lower : formats(accessed_dirty)) pairs.emplace_back(upper, lower);
  return pairs;
}

std::uint64_t visit_nested_worlds(const Format& upper, const Format& lower, Inputs inputs,
                                  const Visit& visit) {
  std::uint64_t visits = 0;
  NestedChain chain(upper, lower);
  World& world = chain.world();
  const std::vector<Ask> asks = requests(upper, inputs);
  const std::vector<std::uint64_t> upper_bits = combinations(upper);
  const std::vector<std::uint64_t> lower_bits = combinations(lower);
  for (unsigned upper_level = 1; upper_level <= levels_of(upper); ++upper_level) {
    const std::uint64_t upper_was = *world.image.load(upper_level * kPage);
    for (const auto& [lower_level, n] : chain.lower_places()) {
      const std::uint64_t lower_at = chain.lower_at(lower_level, n);
      const std::uint64_t lower_was = *world.image.load(lower_at);
      for (const std::uint64_t above : upper_bits) {
        chain.put_upper(upper_level, chain.upper_entry(upper_level, above));
        for (const std::uint64_t below : lower_bits) {
          world.image.store(lower_at, chain.lower_entry(lower_level, n, below));
          for (const Ask& ask : asks) visit(world, ask);
          visits += asks.size();
        }
      }
      world.image.store(lower_at, lower_was);
    }
    chain.put_upper(upper_level, upper_was);
  }
  return visits;
}

}  // namespace weir::model
