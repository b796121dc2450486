// SPDX-License-Identifier: Apache-2.0
//
// A guest that turns pages private and shared, moves windows, and moves a group between identity
// and tables, at random, while eight devices on two threads use them. Each device has a word of its
// own in every page and counts up in it, in bursts, with atomics, and through pins; it keeps its
// own account of what succeeded. Once a transition is complete the guest takes what is out of
// reach: it puts the counts away and poison in their place, and looks for it before it gives the
// page back. So a late write shows as spoilt poison, a late read as a device that read poison, and
// a lost or doubled DMA as two accounts that differ.
//
// Devices 0…3 bypass, 4 and 5 have windows of two pools, 6 and 7 are one group behind a unit: under
// identity they are at one side of their pages, by their tables at the other. Half-way, 2 and 3 are
// confined to the first pool.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "tests/iommu/machine.h"
#include "tests/iotlb/stress.h"

namespace weir::testing_iommu {

class ProtectedTurn {
 public:
  struct Findings {
    std::uint64_t late_writes = 0;
    std::uint64_t wrong_accounts = 0;
    std::uint64_t not_complete = 0;
    std::atomic<std::uint64_t> late_reads{0};
    std::atomic<std::uint64_t> wrong_faults{0};
    std::atomic<std::uint64_t> accesses{0};
    std::atomic<std::uint64_t> refusals{0};
    std::array<std::atomic<std::uint64_t>, 8> accesses_of{};
    // What the guest did.
    std::uint64_t pages_turned = 0, windows_moved = 0, groups_moved = 0;

    [[nodiscard]] std::uint64_t all() const {
      return late_writes + wrong_accounts + not_complete + late_reads + wrong_faults;
    }
  };

  ProtectedTurn() {
    for (std::uint32_t pool = 0; pool < kPools; ++pool)
      (void)machine_.iommu->declare_pool({pool}, window(pool, 0));
    for (std::size_t d = 0; d < kDevices; ++d) {
      std::optional<PoolId> pool;
      if (d == 4 || d == 5) pool = PoolId{static_cast<std::uint32_t>(d % kPools)};
      ports_[d] =
          machine_.iommu
              ->attach({.function = Requester::from_sid(static_cast<std::uint16_t>(0x20 + 8 * d))},
                       pool)
              .value();
      pools_[d] = pool     ? static_cast<int>(pool->value)
                  : d >= 6 ? static_cast<int>(kGroup)
                           : kNoPool;
    }
    tables_.map(window_at(kGroup), page_at(first_page(kGroup, 1)), kOfWindow * kPageSize,
                Permissions::read_write(), kPageLg2);
    turn_group();
  }

  // Stops early once something is wrong.
  void run(int operations) {
    std::atomic<bool> stop{false};
    {
      Threads threads;
      for (std::size_t thread = 0; thread < 2; ++thread)
        threads.run([&, thread] {
          Random random(thread + 1);
          // Relaxed: only ends the loop.
          while (!stop.load(std::memory_order_relaxed))
            use(2 * random.below(kDevices / 2) + thread, random);
        });
      Random random(17);
      for (int n = 0; goes_on(n, operations, found.accesses) && found.all() == 0; ++n) {
        if (n == operations / 2) confine();
        turn(random);
      }
      stop.store(true, std::memory_order_relaxed);
    }
    for (std::uint64_t page = 0; page < kPages; ++page)
      if (hidden_[page]) give_back(page, {});
    check_accounts();
  }

  Findings found;

 private:
  static constexpr std::size_t kDevices = 8;
  static constexpr std::uint32_t kPools = 2;
  // Has sides as pools have, but no window.
  static constexpr std::uint32_t kGroup = kPools;
  static constexpr int kNoPool = -1;
  static constexpr std::uint64_t kPlain = 16;  // pages for those that bypass
  static constexpr std::uint64_t kOfWindow = 8;
  static constexpr std::uint64_t kPages = kPlain + (kPools + 1) * 2 * kOfWindow;
  static constexpr std::uint64_t kPoison = 0x5050505050505050;

  [[nodiscard]] static Gpa page_at(std::uint64_t page) { return kData + page * kPageSize; }
  // A pool is at one side or the other.
  [[nodiscard]] static std::uint64_t first_page(std::uint32_t pool, std::uint64_t side) {
    return kPlain + (2 * pool + side) * kOfWindow;
  }
  [[nodiscard]] static Iova window_at(std::uint32_t pool) {
    if (pool == kGroup) return Iova(page_at(first_page(kGroup, 0)).value());
    return Iova(0x8000'0000 + pool * 0x10'0000);
  }
  [[nodiscard]] static Window window(std::uint32_t pool, std::uint64_t side) {
    return {{window_at(pool), window_at(pool) + (kOfWindow * kPageSize - 1)},
            page_at(first_page(pool, side))};
  }
  [[nodiscard]] std::atomic_ref<std::uint64_t> word(std::uint64_t page, std::size_t device) {
    return std::atomic_ref(machine_.word(page_at(page) + 64 * device));
  }

  // ---- Devices

  void use(std::size_t device, Random& random) {
    // Acquire: pairs with confine(); the new window is used once the old reach has ended.
    const int pool = pools_[device].load(std::memory_order_acquire);
    const std::uint64_t page = random.below(pool == kNoPool ? kPlain : kOfWindow);
    const Iova base = pool == kNoPool
                          ? Iova(page_at(page).value())
                          : window_at(static_cast<std::uint32_t>(pool)) + page * kPageSize;
    const Iova at = base + 64 * device;
    std::uint64_t& account = pool == kNoPool ? plain_[device][page] : windowed_[device][page];
    std::optional<FaultReason> refused;
    switch (random.below(4)) {
      case 0: {
        const auto old = ports_[device]->fetch_add(at, 1);
        if (old) look(*old);
        if (!old) refused = old.error().reason;
        break;
      }
      case 1: {
        const auto pin = ports_[device]->map(at, 8, Access::kWrite);
        if (pin) {
          dawdle(random);
          count_up(pin->spans()[0].host);
        }
        if (!pin) refused = pin.error().reason;
        break;
      }
      default: {
        DmaPort::Burst burst(*ports_[device]);
        const auto t = burst.translate(at, 8, Access::kWrite);
        WEIR_SEAM(kTranslated);
        if (t) {
          dawdle(random);
          count_up(t->host);
        } else {
          refused = t.error().reason;
        }
      }
    }
    // Relaxed, all: counts.
    if (!refused) {
      ++account;
      found.accesses.fetch_add(1, std::memory_order_relaxed);
      found.accesses_of[device].fetch_add(1, std::memory_order_relaxed);
      return;
    }
    found.refusals.fetch_add(1, std::memory_order_relaxed);
    const bool was_confined = refused == FaultReason::kOutsideWindow && device / 2 == 1;
    if (refused != FaultReason::kPrivatePage && !was_confined)
      found.wrong_faults.fetch_add(1, std::memory_order_relaxed);
  }
  // What is held is there long enough to be overtaken: on a busy machine nothing else makes sure.
  static void dawdle(Random& random) {
    if (random.below(4) == 0) std::this_thread::yield();
    linger(random);
  }
  // Not one atomic step: whoever comes between, who must not, is overwritten.
  void count_up(std::byte* host) {
    const std::atomic_ref at(*reinterpret_cast<std::uint64_t*>(host));
    const std::uint64_t old = at.load(std::memory_order_relaxed);
    look(old);
    at.store(old + 1, std::memory_order_relaxed);
  }
  void look(std::uint64_t value) {
    if (value >= kPoison) found.late_reads.fetch_add(1, std::memory_order_relaxed);
  }

  // ---- The guest

  void turn(Random& random) {
    Transition transition;
    std::vector<std::uint64_t> gone, back;
    std::vector<std::uint32_t> moved;
    const auto flip = [&](std::uint64_t page) {
      ++found.pages_turned;
      const AddressRange<Gpa> bytes{page_at(page), page_at(page) + (kPageSize - 1)};
      // Sides that no window is at are out of reach already.
      if (!hidden_[page]) {
        transition.made_private.push_back(bytes);
        gone.push_back(page);
      } else {
        transition.made_shared.push_back(bytes);
        back.push_back(page);
      }
    };
    const auto move = [&](std::uint32_t pool) {
      sides_[pool] = 1 - sides_[pool];
      moved.push_back(pool);
      if (pool == kGroup) {
        ++found.groups_moved;
        transition.groups.push_back({.functions = {ports_[6]->requester(), ports_[7]->requester()},
                                     .to = sides_[kGroup] == 0
                                               ? Transition::GroupTurn::To::kIdentity
                                               : Transition::GroupTurn::To::kTables});
        return;
      }
      ++found.windows_moved;
      transition.pools.push_back({.pool = {pool}, .window = window(pool, sides_[pool])});
    };
    switch (random.below(8)) {
      case 0:  // the whole guest turns protected
        for (std::uint64_t page = 0; page < kPages; ++page)
          if (!hidden_[page]) flip(page);
        for (std::uint32_t pool = 0; pool <= kGroup; ++pool) move(pool);
        break;
      case 1:
        for (std::uint64_t page = 0; page < kPages; ++page)
          if (hidden_[page]) flip(page);
        break;
      case 2:
      case 3:
        move(static_cast<std::uint32_t>(random.below(kPools + 1)));
        break;
      case 4:
        move(static_cast<std::uint32_t>(random.below(kPools + 1)));
        [[fallthrough]];
      default: {
        const std::uint64_t first = random.below(kPages);
        for (std::uint64_t page = first; page < std::min(first + 1 + random.below(3), kPages);
             ++page)
          flip(page);
      }
    }
    // What comes into reach has to be as it was before it does.
    for (const std::uint64_t page : back) give_back(page, moved);
    for (const std::uint32_t pool : moved) give_back_side(pool);
    // The guest's own structures come first.
    if (!transition.groups.empty()) turn_group();
    apply(transition);
    for (const std::uint64_t page : gone) take(page);
    for (const std::uint32_t pool : moved) take_side(pool);
  }

  // Both contexts as the group's side has them.
  void turn_group() {
    iotlb::Context context = FakeUnit::second_stage(1, tables_.root());
    if (sides_[kGroup] == 0) {
      context = {};
      context.kind = iotlb::ContextKind::kPassThrough;
      context.domain = DomainId{2};
      context.input_bits = 48;
    }
    for (const std::size_t device : {6u, 7u})
      machine_.unit->set_context(ports_[device]->requester(), context);
  }

  void confine() {
    Transition both;
    for (const std::size_t device : {2u, 3u})
      both.confinements.push_back({.function = ports_[device]->requester(), .pool = {0}});
    apply(both);
    for (const std::size_t device : {2u, 3u}) {
      for (std::uint64_t page = 0; page < kPlain; ++page)
        left_[device][page] = hidden_[page] ? saved_[page][device] : word(page, device).load();
      // Release: pairs with use().
      pools_[device].store(0, std::memory_order_release);
    }
  }

  void apply(const Transition& transition) {
    const auto change = machine_.iommu->apply(transition);
    if (!change) {
      ++found.not_complete;
      return;
    }
    for (std::uint64_t n = 0; !change->complete(); ++n) {
      machine_.iommu->poll();
      std::this_thread::yield();
    }
  }

  // Out of reach: counts away, poison in. A page on a side without its window may be both.
  void take(std::uint64_t page) {
    hidden_[page] = true;
    poison(page);
  }
  void take_side(std::uint32_t pool) {
    for (std::uint64_t i = 0; i < kOfWindow; ++i) poison(first_page(pool, 1 - sides_[pool]) + i);
  }
  void poison(std::uint64_t page) {
    if (poisoned_[page]) return;
    poisoned_[page] = true;
    for (std::size_t device = 0; device < kDevices; ++device)
      saved_[page][device] = word(page, device).exchange(kPoison);
  }
  // Until the transition is complete, a page may be shared already and a group still at the side
  // that it leaves: what comes back there is right as well, until the side is taken.
  void give_back(std::uint64_t page, const std::vector<std::uint32_t>& moved) {
    hidden_[page] = false;
    if (!is_elsewhere(page) ||
        std::ranges::find(moved, (page - kPlain) / (2 * kOfWindow)) != moved.end())
      restore(page);
  }
  void give_back_side(std::uint32_t pool) {
    for (std::uint64_t i = 0; i < kOfWindow; ++i)
      if (const std::uint64_t page = first_page(pool, sides_[pool]) + i; !hidden_[page])
        restore(page);
  }
  // On a side at which its pool's window is not.
  [[nodiscard]] bool is_elsewhere(std::uint64_t page) const {
    if (page < kPlain) return false;
    const std::uint64_t side = (page - kPlain) / kOfWindow;
    return sides_[side / 2] != side % 2;
  }
  void restore(std::uint64_t page) {
    if (!poisoned_[page]) return;
    poisoned_[page] = false;
    for (std::size_t device = 0; device < kDevices; ++device)
      if (word(page, device).exchange(saved_[page][device]) != kPoison) ++found.late_writes;
  }

  void check_accounts() {
    for (std::uint64_t page = 0; page < kPages; ++page) restore(page);
    for (std::size_t device = 0; device < kDevices; ++device) {
      for (std::uint64_t page = 0; page < kPlain; ++page) {
        if (word(page, device).load() != plain_[device][page]) ++found.wrong_accounts;
        if (device / 2 == 1 && word(page, device).load() != left_[device][page])
          ++found.late_writes;
      }
      for (std::uint64_t i = 0; i < kOfWindow; ++i) {
        std::uint64_t sum = 0;
        for (std::uint32_t pool = 0; pool <= kGroup; ++pool)
          for (std::uint64_t side = 0; side < 2; ++side)
            sum += word(first_page(pool, side) + i, device).load();
        if (sum != windowed_[device][i]) ++found.wrong_accounts;
      }
    }
  }

  // Devices 6 and 7, as they are numbered in the constructor.
  Machine machine_{{.coverage = {{{.register_base = kUnitBase, .functions = {{0x50, 0x58}}}}}}};
  Tables tables_{machine_};
  std::array<std::unique_ptr<DmaPort>, kDevices> ports_;
  std::array<std::atomic<int>, kDevices> pools_{};
  // Each device's own account; its thread's, and the guest's once that has ended.
  std::array<std::array<std::uint64_t, kPlain>, kDevices> plain_{};
  std::array<std::array<std::uint64_t, kOfWindow>, kDevices> windowed_{};
  // The guest's.
  std::array<std::uint64_t, kPools + 1> sides_{};
  std::array<bool, kPages> hidden_{}, poisoned_{};
  std::array<std::array<std::uint64_t, kDevices>, kPages> saved_{};
  std::array<std::array<std::uint64_t, kPlain>, kDevices> left_{};
};

}  // namespace weir::testing_iommu
