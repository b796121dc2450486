// SPDX-License-Identifier: Apache-2.0
#include "tests/iommu/linear_guest.h"

namespace weir::testing_iommu::linear {
namespace {

using iotlb::Invalidation;
using iotlb::Scope;
using pagetables::VtdSecondStage;

[[nodiscard]] Permissions permissions_of(State state) {
  return state.writable ? Permissions::read_write() : Permissions::read_only();
}
[[nodiscard]] bool same_place(State a, State b) { return a.block == b.block && a.side == b.side; }

// What a walk may leave in an entry.
constexpr auto kRules = VtdSecondStage::rules({.accessed_dirty = true});
constexpr std::uint64_t kUsed = kRules.accessed | kRules.dirty;

}  // namespace

Guest::Guest(const Machine& machine, std::size_t number)
    : m_(machine), number_(number), random_(number + 77) {
  for (std::size_t root = 0; root < kRoots; ++root) (void)write_upper_levels(root);
  for (std::size_t r = 0; r < kRegions; ++r) {
    for (std::uint8_t block = 0; block < kBlocks; ++block)
      for (std::uint8_t side = 0; side < 2; ++side)
        each_word(r, {.block = block, .side = side}, [](std::uint64_t& word) { word = kPoison; });
    for (std::uint64_t page = 0; page < kLeafPages; ++page)
      write_leaves(r, {.leaf_page = page}, true);
    regions_[r].history.begin({});
    regions_[r].history.complete();
  }
  for (std::size_t d = 0; d < kDevices; ++d) {
    iotlb::Context context =
        TableUnit::second_stage(static_cast<std::uint32_t>(number_ + 1), table(root_, 4));
    context.silence_faults = true;
    m_.unit.set_context(function_of(number_, d), context);
  }
}

// Gives what a walk has left there.
std::uint64_t Guest::write_upper_levels(std::size_t root) {
  return kUsed & (set(table(root, 4), VtdSecondStage::make_table(table(root, 3).value(), 4)) |
                  set(table(root, 3), VtdSecondStage::make_table(table(root, 2).value(), 3)));
}

template <typename Do>
void Guest::each_word(std::size_t region, State state, Do what) {
  const Hpa block = block_at(block_number(number_, region, state.block), state.side);
  for (std::uint64_t page = 0; page < kPages; ++page)
    for (std::size_t d = 0; d < kDevices; ++d)
      what(m_.ram.word(block + page_offset(page) + word_offset(d)));
}

std::uint64_t Guest::leaf(std::size_t region, State state, std::uint64_t page) const {
  const Gpa block = block_at(block_number(number_, region, state.block));
  return VtdSecondStage::make_leaf((block + page_offset(page)).value(), kPageLg2,
                                   permissions_of(state));
}

// `fresh`: whole words, as for a page that nobody walks; else as a guest changes live leaves.
void Guest::write_leaves(std::size_t region, const Mapped& to, bool fresh) {
  for (std::uint64_t page = 0; page < kPages; ++page) {
    const Gpa at = leaf_table(region, to.leaf_page) + page_offset(page) / kPageSize * 8;
    set(at, fresh || to.state.mapped ? leaf(region, to.state, page) : 0);
  }
}

// A page that was out of use holds leaves that nobody may have used.
void Guest::take_leaf_page(std::size_t region, Mapped& to) {
  Region& r = regions_[region];
  to.leaf_page = r.next_leaf_page++ % kLeafPages;
  for (std::uint64_t page = 0; page < kPages; ++page) {
    const Gpa at = leaf_table(region, to.leaf_page) + page_offset(page) / kPageSize * 8;
    if ((set(at, 0) & kUsed) != 0) ++m_.findings.late_updates;
  }
}

void Guest::retire_leaf_page(std::size_t region, const Mapped& old) {
  write_leaves(region, old, true);
}

void Guest::write_entry(std::size_t root, std::size_t region, const Mapped& to) {
  std::uint64_t entry = 0;
  if (to.size == Size::kSmall)
    entry = VtdSecondStage::make_table(leaf_table(region, to.leaf_page).value(), 2);
  else if (to.state.mapped)
    entry =
        VtdSecondStage::make_leaf(block_at(block_number(number_, region, to.state.block)).value(),
                                  21, permissions_of(to.state));
  set(entry_of(root, region), entry);
}

// Words are plain memory, so that a missing edge is found under TSan without any luck: the guest
// writes them only while they are out of reach.
void Guest::prepare(std::size_t region, State old, State next) {
  if (old.mapped && !old.writable) {
    auto was = regions_[region].frozen.begin();
    each_word(region, old, [&](const std::uint64_t& word) {
      if (word != *was++) ++m_.findings.late_writes;
    });
  }
  if (next.mapped && !(old.mapped && same_place(old, next)))
    each_word(region, next, [&](std::uint64_t& word) {
      if (word != kPoison) ++m_.findings.late_writes;
      word = 0;
    });
}

void Guest::retire(std::size_t region, State old, State now) {
  if (old.mapped && !(now.mapped && same_place(old, now)))
    each_word(region, old, [](std::uint64_t& word) { word = kPoison; });
  if (now.mapped && !now.writable) {
    auto is = regions_[region].frozen.begin();
    each_word(region, now, [&](const std::uint64_t& word) { *is++ = word; });
  }
}

State Guest::draw(std::size_t region, State from) {
  State next = from;
  switch (random_.below(4)) {
    case 0:
      next.mapped = !from.mapped;
      break;
    case 1:
      next.writable = !from.writable;
      break;
    default:
      next.mapped = true;
      next.block = static_cast<std::uint8_t>(random_.below(kBlocks));
  }
  next.side = regions_[region].sides[next.block];
  return next;
}

// As little as covers it; now and then more.
void Guest::flush(std::size_t region, bool leaves_only) {
  const DomainId domain{static_cast<std::uint32_t>(number_ + 1)};
  std::uint64_t number = 0;
  const auto range = [&](Iova first, std::uint64_t size) {
    return Invalidation{.scope = Scope::kRange,
                        .domain = domain,
                        .range = {first, first + (size - 1)},
                        .leaf_only = leaves_only};
  };
  switch (random_.below(8)) {
    case 0:
      number = m_.unit.post({.scope = Scope::kAll});
      break;
    case 1:
      number = m_.unit.post({.scope = Scope::kDomain, .domain = domain});
      break;
    default:
      // A part of a large page means all of it.
      if (!leaves_only) {
        number = m_.unit.post(range(region_at(region), kBlockSize));
        break;
      }
      for (std::uint64_t page = 0; page < kPages; ++page)
        number = m_.unit.post(range(region_at(region) + page_offset(page), kPageSize));
  }
  await([&] { return m_.unit.completed() >= number; });
}

// Map, unmap, map elsewhere, change permissions, grow and shrink pages.
void Guest::change_region() {
  const std::size_t r = random_.below(kRegions);
  Region& region = regions_[r];
  const Mapped old = region.mapped[root_];
  Mapped next = old;
  next.state = draw(r, old.state);
  if (random_.below(3) == 0) next.size = old.size == Size::kLarge ? Size::kSmall : Size::kLarge;
  const bool in_place = old.size == next.size && random_.below(4) != 0;

  region.history.begin(next.state);
  prepare(r, old.state, next.state);
  if (next.size == Size::kSmall && !in_place) {
    take_leaf_page(r, next);
    write_leaves(r, next, false);
    write_entry(root_, r, next);
  } else if (next.size == Size::kSmall) {
    write_leaves(r, next, false);
  } else {
    write_entry(root_, r, next);
  }
  const bool only_leaves = old.size == next.size && old.leaf_page == next.leaf_page;
  flush(r, only_leaves);
  region.history.complete();
  region.mapped[root_] = next;
  retire(r, old.state, next.state);
  if (old.size == Size::kSmall && !only_leaves) retire_leaf_page(r, old);
}

// The other root, which maps every region in its own way, in the same domain.
void Guest::switch_context() {
  const std::size_t to = 1 - root_;
  std::array<Mapped, kRegions> old;
  for (std::size_t r = 0; r < kRegions; ++r) {
    Region& region = regions_[r];
    old[r] = region.mapped[root_];
    Mapped& next = region.mapped[to];
    next = {.state = draw(r, old[r].state),
            .size = random_.below(2) == 0 ? Size::kLarge : Size::kSmall};
    region.history.begin(next.state);
    prepare(r, old[r].state, next.state);
    if (next.size == Size::kSmall) {
      take_leaf_page(r, next);
      write_leaves(r, next, false);
    }
    write_entry(to, r, next);
  }
  if (write_upper_levels(to) != 0) ++m_.findings.late_updates;
  // Without need, so that contexts are being read just when they change.
  (void)m_.unit.host().invalidate({.scope = Scope::kContextAll});
  linger(random_);
  for (std::size_t d = 0; d < kDevices; ++d) {
    iotlb::Context context =
        TableUnit::second_stage(static_cast<std::uint32_t>(number_ + 1), table(to, 4));
    context.silence_faults = true;
    m_.unit.set_context(function_of(number_, d), context);
  }
  const std::size_t from = root_;
  root_ = to;
  // One wait behind both, as drivers have it: the translations go while somebody may still be on
  // his way with the old context.
  std::vector<Ticket> tickets;
  const auto invalidate = [&](const Invalidation& what) {
    tickets.push_back(m_.unit.host().invalidate(what));
  };
  if (random_.below(2) == 0) {
    invalidate({.scope = Scope::kContextAll});
  } else {
    for (std::size_t d = 0; d < kDevices; ++d)
      invalidate({.scope = Scope::kContextDevice, .requester = function_of(number_, d)});
  }
  const DomainId domain{static_cast<std::uint32_t>(number_ + 1)};
  if (random_.below(2) == 0) invalidate({.scope = Scope::kDomain, .domain = domain});
  const std::uint64_t number = m_.unit.post({.scope = Scope::kDomain, .domain = domain});
  await([&] {
    std::erase_if(tickets, [&](Ticket ticket) { return m_.unit.host().settled(ticket); });
    return tickets.empty() && m_.unit.completed() >= number;
  });
  for (std::size_t r = 0; r < kRegions; ++r) {
    regions_[r].history.complete();
    retire(r, old[r].state, regions_[r].mapped[to].state);
    if (old[r].size == Size::kSmall) retire_leaf_page(r, old[r]);
    write_entry(from, r, {});
  }
  // As they are without an access; nobody walks them.
  (void)write_upper_levels(from);
}

// The embedder moves a block; the guest knows nothing of it.
void Guest::move_block() {
  const std::size_t r = random_.below(kRegions);
  Region& region = regions_[r];
  const State old = region.mapped[root_].state;
  State next = old;
  next.side = static_cast<std::uint8_t>(1 - old.side);
  region.history.begin(next);
  prepare(r, old, next);
  const std::uint64_t number = block_number(number_, r, old.block);
  m_.sides.move(number, next.side);
  const Change change =
      m_.iommu.host_map_changed({block_at(number), block_at(number) + (kBlockSize - 1)});
  await([&] { return change.complete(); });
  region.history.complete();
  region.sides[old.block] = next.side;
  region.mapped[root_].state = next;
  retire(r, old, next);
}

void Guest::step() {
  switch (random_.below(8)) {
    case 0:
      switch_context();
      break;
    case 1:
      move_block();
      break;
    default:
      change_region();
  }
  ++steps_;
  ++turns;
}

// Nobody polls here: whoever ends the last burst or pin has to have resumed the queue. When every
// thread has come round often, twice over, and nothing has moved, a wake-up was lost.
void Guest::await(const std::function<bool()>& done) {
  constexpr std::uint64_t kOften = 1000;
  const auto all_came_round = [](const auto& from, const auto& now) {
    for (std::size_t i = 0; i < from.size(); ++i)
      if (now[i] < from[i] + kOften && now[i] != kEnded) return false;
    return true;
  };
  std::vector<std::uint64_t> from;
  std::uint64_t seen = ~std::uint64_t{0};
  for (int times = 0; !done();) {
    std::this_thread::yield();
    ++turns;
    const std::uint64_t completed = m_.unit.completed();
    if (completed == seen && turns % kOften != 0) continue;
    const std::vector<std::uint64_t> now = m_.turns();
    if (completed == seen && !all_came_round(from, now)) continue;
    times = completed == seen ? times + 1 : 0;
    seen = completed;
    from = now;
    if (times < 2) continue;
    ++m_.findings.lost_wake_ups;
    m_.iommu.poll();
  }
}

}  // namespace weir::testing_iommu::linear
