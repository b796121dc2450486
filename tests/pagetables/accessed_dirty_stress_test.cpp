// SPDX-License-Identifier: Apache-2.0
//
// Accessed and dirty bits under fire: two threads translate while the guest clears bits, remaps and
// unmaps the same entries and recycles table pages. fire_world.h keeps the books.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>
#include <thread>

#include "pagetables/amd_v1.h"
#include "pagetables/nested.h"
#include "pagetables/vtd_second_stage.h"
#include "pagetables/x86_first_stage.h"
#include "tests/pagetables/fire_world.h"

namespace weir::pagetables::fire {
namespace {

constexpr std::size_t kWalkers = 2;

// Of walks, and of things that the guest does.
std::uint64_t iterations() {
  const char* set = std::getenv("WEIR_LONG");
  return set != nullptr && std::string_view(set) == "1" ? 10'000'000 : 100'000;
}

// Gives the guest the processor, now and then, where it hurts most: between the reads of a walk and
// its updates. Without this a machine with one processor would see no race.
class RacyReader {
 public:
  using Space = Gpa;

  RacyReader(const PhysicalMemory& memory, std::uint64_t& chance)
      : reader_(memory), chance_(chance) {}

  [[nodiscard]] auto load(Gpa at) { return reader_.load(at); }
  [[nodiscard]] auto update(Gpa at, std::uint64_t seen, std::uint64_t desired) {
    if (++chance_ % 32 == 0) std::this_thread::yield();
    return reader_.update(at, seen, desired);
  }
  [[nodiscard]] std::uint32_t take_references() { return reader_.take_references(); }

 private:
  DirectReader reader_;
  std::uint64_t& chance_;
};

// What a walk gave, without the spaces it went through.
struct Granted {
  std::uint64_t page = 0;
  std::uint64_t entry = 0;
};

template <RadixFormat Format>
void note(ClaimBook& book, const typename Format::Rules& rules, Access access,
          const Result<Granted, WalkFailure>& result) {
  using TheWorld = World<Format>;
  ++book.walks;
  if (!result) {
    switch (result.error().reason) {
      case FaultReason::kNotPresent:
      case FaultReason::kNoReadPermission:
      case FaultReason::kNoWritePermission:
      case FaultReason::kUpdateFailed:
        return;
      default:
        book.trouble = "a walk failed with reason " +
                       std::to_string(static_cast<unsigned>(result.error().reason));
        return;
    }
  }
  ++book.granted;
  const std::uint64_t bits = rules.accessed | (writes(access) ? rules.dirty : 0);
  const std::size_t version = TheWorld::version_of(result->page);
  if (result->page < TheWorld::kData || version >= TheWorld::kVersions ||
      (result->entry & bits) != bits) {
    book.trouble = "a walk gave the page " + std::to_string(result->page) + " with the entry " +
                   std::to_string(result->entry);
    return;
  }
  book.read[version] = 1;
  if (writes(access)) book.written[version] = 1;
}

// Walkers against a guest for one round. `translate`: (chance, input, ask) -> Result<Granted, …>.
template <RadixFormat Format, typename Translate, typename Change>
void run_round(World<Format>& world, std::span<ClaimBook> books, std::uint64_t changes,
               Translate translate, Change change) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (ClaimBook& book : books) {
    book.read.assign(World<Format>::kVersions, 0);
    book.written.assign(World<Format>::kVersions, 0);
    threads.emplace_back([&world, &book, &stop, &translate, seed = threads.size()] {
      std::mt19937_64 random(seed);
      std::uint64_t chance = seed;
      // Relaxed: only ends the loop; join orders the rest.
      while (!stop.load(std::memory_order_relaxed)) {
        const std::uint64_t draw = random();
        const Ask ask{.access = static_cast<Access>(draw % 3)};
        note<Format>(book, world.rules, ask.access,
                     translate(chance, World<Format>::input(draw >> 8), ask));
      }
    });
  }
  for (std::uint64_t i = 0; i < changes && world.has_room(); ++i) {
    change();
    // On one processor the guest would otherwise be done before a walker has begun.
    if (i % 512 == 0) std::this_thread::yield();
  }
  // Relaxed: as above.
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads) thread.join();
}

// Rounds until there were enough of both. `make(memory, seed)` gives a scene: a world, how to
// translate in it and what else the guest does to it.
template <typename Make>
void run_rounds(std::size_t pages, Make make) {
  constexpr std::uint64_t kChanges = std::uint64_t{1} << 16;
  const std::uint64_t wanted = iterations();
  std::uint64_t walks = 0;
  std::uint64_t granted = 0;
  std::uint64_t changes = 0;
  for (std::uint64_t seed = 1; walks < wanted || changes < wanted; ++seed) {
    WatchedMemory memory(pages);
    auto scene = make(memory, seed);
    std::array<ClaimBook, kWalkers> books;
    run_round(
        scene.world, books, kChanges,
        [&](std::uint64_t& chance, std::uint64_t input, const Ask& ask) {
          return scene.translate(chance, input, ask);
        },
        [&] { scene.change(); });
    scene.finish();
    ASSERT_EQ(scene.world.audit(books), "") << "round " << seed;
    ASSERT_EQ(memory.compare_updates(), "") << "round " << seed;
    for (const ClaimBook& book : books) {
      walks += book.walks;
      granted += book.granted;
    }
    changes += kChanges;
  }
  EXPECT_GT(granted, walks / 10);
}

template <RadixFormat Format>
struct OneStage {
  WatchedMemory& memory;
  World<Format> world;

  OneStage(WatchedMemory& in, const typename Format::Rules& rules, std::uint64_t seed)
      : memory(in), world(in, rules, seed) {}

  [[nodiscard]] Result<Granted, WalkFailure> translate(std::uint64_t& chance, std::uint64_t input,
                                                       const Ask& ask) const {
    RacyReader reader(memory.physical(), chance);
    const auto leaf = walk<Format>(world.rules, reader, Gpa(World<Format>::kRoot),
                                   World<Format>::kLevels, input, ask);
    if (!leaf) return Failure{leaf.error()};
    return Granted{leaf->page.value(), leaf->entry};
  }
  void change() { world.change_something(); }
  void finish() {}
};

// Stage 2 below an x86 stage 1: the data in pages of 1 GiB, stage 1's tables in pages of 4 KiB
// whose entries the guest keeps changing as well.
struct Nested {
  static constexpr std::uint64_t kLevel4 = World<X86FirstStage>::kPages * kPageSize;
  static constexpr std::uint64_t kLevel3 = kLevel4 + 1 * kPageSize;
  static constexpr std::uint64_t kLevel2 = kLevel4 + 2 * kPageSize;
  static constexpr std::uint64_t kLevel1 = kLevel4 + 3 * kPageSize;
  static constexpr std::size_t kPages = World<X86FirstStage>::kPages + 4;
  static constexpr Bit<52> kFirstIgnored{"ignored"};

  WatchedMemory& memory;
  World<X86FirstStage> world;
  VtdSecondStage::Rules rules = VtdSecondStage::rules({.accessed_dirty = true});
  std::mt19937_64 random;
  std::uint64_t serial = 0;

  Nested(WatchedMemory& in, std::uint64_t seed)
      : memory(in), world(in, X86FirstStage::rules({}), seed), random(seed) {
    memory.exchange(kLevel4, VtdSecondStage::make_table(kLevel3, 4), 0);
    memory.exchange(kLevel3, VtdSecondStage::make_table(kLevel2, 3), 0);
    memory.exchange(kLevel2, VtdSecondStage::make_table(kLevel1, 2), 0);
    for (std::uint64_t gib = 1; gib < 6; ++gib)
      memory.exchange(kLevel3 + gib * 8, leaf(gib << 30, 30), 0);
    for (std::uint64_t page = 0; page < World<X86FirstStage>::kPages; ++page)
      memory.exchange(kLevel1 + page * 8, leaf(page << kPageLg2, kPageLg2), 0);
  }
  // The same page as ever, in a word that was not there lately.
  [[nodiscard]] std::uint64_t leaf(std::uint64_t page, unsigned lg2) {
    return VtdSecondStage::make_leaf(page, lg2, Permissions::read_write()) |
           (++serial % 512 << kFirstIgnored.kLow);
  }

  [[nodiscard]] Result<Granted, WalkFailure> translate(std::uint64_t& chance, std::uint64_t input,
                                                       const Ask& ask) const {
    RacyReader reader(memory.physical(), chance);
    const auto lower = [&](std::uint64_t address, const Ask& asked) {
      auto result = walk<VtdSecondStage>(rules, reader, Gpa(kLevel4), 4, address, asked);
      if (!result) result.error().stage = Stage::kStage2;
      return result;
    };
    const auto found =
        nested_walk<X86FirstStage>(world.rules, Ipa(World<X86FirstStage>::kRoot),
                                   World<X86FirstStage>::kLevels, lower, reader, input, ask);
    if (!found) return Failure{found.error()};
    const std::uint64_t wanted = rules.accessed | (writes(ask.access) ? rules.dirty : 0);
    if ((found->lower.entry & wanted) != wanted) return Granted{};
    return Granted{found->translate(input).page_base(kPageLg2).value(), found->upper.entry};
  }
  void change() {
    world.change_something();
    const std::uint64_t draw = random();
    const std::uint64_t bits = rules.accessed | rules.dirty;
    const std::uint64_t page = world.page_in_use(draw >> 8) >> kPageLg2;
    const std::uint64_t gib = 1 + (draw >> 8) % 5;
    switch (draw % 8) {
      case 0:
        memory.exchange(kLevel1 + page * 8, leaf(page << kPageLg2, kPageLg2), bits);
        break;
      case 1:
        memory.clear(kLevel1 + page * 8, bits, bits);
        break;
      case 2:
        memory.exchange(kLevel3 + gib * 8, leaf(gib << 30, 30), bits);
        break;
      case 3:
        memory.clear(kLevel3 + gib * 8, rules.dirty, bits);
        break;
      case 4:
        memory.clear(page % 2 != 0 ? kLevel4 : kLevel2, rules.accessed, rules.accessed);
        break;
      default:
        break;
    }
  }
  void finish() {
    for (std::uint64_t at = kLevel4; at < kPages * kPageSize; at += 8)
      memory.exchange(at, memory.known(at), rules.accessed | rules.dirty);
  }
};

template <RadixFormat Format>
void run_one_stage(const typename Format::Rules& rules) {
  run_rounds(World<Format>::kPages, [&rules](WatchedMemory& memory, std::uint64_t seed) {
    return OneStage<Format>(memory, rules, seed);
  });
}

TEST(AccessedDirtyUnderFire, X86FirstStage) {
  run_one_stage<X86FirstStage>(X86FirstStage::rules({}));
}
TEST(AccessedDirtyUnderFire, X86FirstStageWithExtendedAccessed) {
  run_one_stage<X86FirstStage>(X86FirstStage::rules({.extended_accessed = true}));
}
TEST(AccessedDirtyUnderFire, VtdSecondStage) {
  run_one_stage<VtdSecondStage>(VtdSecondStage::rules({.accessed_dirty = true}));
}
TEST(AccessedDirtyUnderFire, AmdV1) {
  run_one_stage<AmdV1>(AmdV1::rules({.accessed_dirty = true}));
}
TEST(AccessedDirtyUnderFire, X86OverVtd) {
  run_rounds(Nested::kPages,
             [](WatchedMemory& memory, std::uint64_t seed) { return Nested(memory, seed); });
}

}  // namespace
}  // namespace weir::pagetables::fire
