// SPDX-License-Identifier: Apache-2.0
//
// L1 for table pages: once the completion of an invalidation that covers a table page is there, no
// walk reads it or sets a bit in it. The guest takes a table page out of use, invalidates, waits,
// and at once makes the page data of the cruellest kind: half its words are the very leaves that
// stood there, half are leaves to a page nobody may be given.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "iommu/cached_walk.h"
#include "iommu/iommu.h"
#include "pagetables/vtd_second_stage.h"

namespace weir {
namespace {

using pagetables::VtdSecondStage;

constexpr std::uint64_t kRegisters = 0xfed9'0000;
constexpr DomainId kDomain{1};
constexpr Gpa kRoot{1 * kPageSize};
constexpr std::uint64_t kLevel2 = 3 * kPageSize;
// Used in turn: each is data for many turns, which a late update has to come in.
constexpr std::uint64_t kLeafPages = 64;
constexpr std::uint64_t kData = (4 + kLeafPages) * kPageSize;  // what the leaves map
constexpr std::uint64_t kLeaves = 16;
constexpr std::uint64_t kForbidden = kData + kLeaves * kPageSize;
constexpr std::size_t kPages = 5 + kLeafPages + kLeaves;
constexpr auto kRules = VtdSecondStage::rules({.accessed_dirty = true});

// Lets others run, now and then, between the reads of a walk and its updates.
class RacyReader : public pagetables::DirectReader {
 public:
  using DirectReader::DirectReader;
  [[nodiscard]] auto update(Gpa at, std::uint64_t seen, std::uint64_t desired) {
    thread_local std::uint64_t calls = 0;
    if (++calls % 16 == 0) std::this_thread::yield();
    return DirectReader::update(at, seen, desired);
  }
};

// Every requester is in one domain with one table, walked through the unit's walk caches.
class OneTable final : public Unit {
 public:
  explicit OneTable(UnitHost& host_of_unit) : host(host_of_unit) {
    host.set_mode(UnitMode::kTranslating);
  }
  [[nodiscard]] Result<iotlb::Context, Fault> read_context(
      const Request&, const pagetables::PhysicalMemory&) override {
    return iotlb::Context{.stage2_root = kRoot.value(),
                          .domain = kDomain,
                          .kind = iotlb::ContextKind::kStage2,
                          .stage2_levels = 4,
                          .input_bits = 48};
  }
  [[nodiscard]] std::optional<Fault> check(const iotlb::Context&, const Request&) override {
    return std::nullopt;
  }
  [[nodiscard]] Result<pagetables::Leaf<Gpa>, Fault> walk(const iotlb::Context& context,
                                                          const Request& piece,
                                                          const WalkScope& scope) override {
    RacyReader reader(scope.memory);
    CachedTables<VtdSecondStage, Gpa> tables(scope.caches.stage2_tables, {.domain = context.domain},
                                             scope.tickets.stage2_tables);
    const auto leaf = pagetables::walk<VtdSecondStage>(kRules, reader, kRoot, 4, piece.iova.value(),
                                                       {.access = piece.access}, tables);
    if (leaf) return *leaf;
    return Failure{Fault{.request = piece, .reason = leaf.error().reason, .stage = Stage::kStage2}};
  }
  void record(const Fault&) override {}
  void poll() override {}
  void reset() override {}

  UnitHost& host;
};

class TwoDevices final : public TableParser {
 public:
  [[nodiscard]] Result<Coverage, TableError> parse(std::span<const std::byte>) const override {
    UnitCoverage unit;
    unit.register_base = kRegisters;
    for (std::uint8_t device = 4; device < 6; ++device)
      unit.scopes.push_back({.path = {{device, 0}}});
    return Coverage{{unit}};
  }
};

class LateUpdates : public ::testing::Test {
 protected:
  LateUpdates() {
    EXPECT_TRUE(iommu_.use_tables(TwoDevices(), {}));
    unit_ = &iommu_.add_unit<OneTable>(kRegisters);
    set(kRoot.value(), VtdSecondStage::make_table(2 * kPageSize, 4));
    set(2 * kPageSize, VtdSecondStage::make_table(kLevel2, 3));
    for (std::uint64_t i = 0; i < kLeafPages; ++i) fill(leaf_page(i), kForbidden);
  }

  [[nodiscard]] static std::uint64_t leaf_page(std::uint64_t turn) {
    return (4 + turn % kLeafPages) * kPageSize;
  }
  // The guest's own accesses. Acquire-release: its locked cycles.
  std::uint64_t set(std::uint64_t at, std::uint64_t word) {
    return std::atomic_ref(words_[at / 8]).exchange(word, std::memory_order_acq_rel);
  }
  // Leaves without a bit set, as they are where the page is a table. `odd` is what every second one
  // maps instead; 0: all map what they should.
  void fill(std::uint64_t page, std::uint64_t odd) {
    for (std::uint64_t i = 0; i < kLeaves; ++i) set(page + i * 8, word(i, odd));
  }
  [[nodiscard]] static std::uint64_t word(std::uint64_t index, std::uint64_t odd) {
    const std::uint64_t to = odd != 0 && index % 2 != 0 ? odd : kData + index * kPageSize;
    return VtdSecondStage::make_leaf(to, kPageLg2, Permissions::read_write());
  }
  void expect_untouched(std::uint64_t page) {
    for (std::uint64_t i = 0; i < kLeaves; ++i)
      ASSERT_EQ(set(page + i * 8, word(i, kForbidden)), word(i, kForbidden))
          << "the word " << i << " was written after the completion";
  }

  // Translates until told to stop; counts the answers nobody should get.
  void run_device(unsigned device) {
    auto port = iommu_.attach({.function = Requester::from_bdf(0, device, 0), .bridges = {}});
    ASSERT_TRUE(port);
    std::uint64_t draw = device;
    // Relaxed: only ends the loop.
    for (std::uint64_t bursts = 1; !stop_.load(std::memory_order_relaxed); ++bursts) {
      // The guest's turn: it waits for bursts alone.
      if (bursts % 16 == 0) std::this_thread::yield();
      DmaPort::Burst burst(**port);
      for (int i = 0; i < 4; ++i) {
        draw = draw * 6364136223846793005U + 1442695040888963407U;
        const std::uint64_t page = draw >> 33 & (kLeaves - 1);
        const Access access = draw >> 40 & 1 ? Access::kWrite : Access::kRead;
        const auto t = burst.translate(Iova(page * kPageSize), 64, access);
        // An entry that kept changing is allowed to end as a fault.
        if (t ? t->gpa != Gpa(kData + page * kPageSize)
              : t.error().reason != FaultReason::kUpdateFailed)
          // Relaxed: read after join.
          wrong_.fetch_add(1, std::memory_order_relaxed);
      }
    }
  }

  std::vector<std::uint64_t> words_ = std::vector<std::uint64_t>(kPages * kPageSize / 8);
  Iommu iommu_{{.memory = std::make_shared<GuestMemory>(
                    GuestMemory::single(Hpa(0), std::as_writable_bytes(std::span(words_))))}};
  OneTable* unit_ = nullptr;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> wrong_{0};
};

TEST_F(LateUpdates, NeverAfterTheCompletion) {
  const char* set_long = std::getenv("WEIR_LONG");
#if defined(__SANITIZE_THREAD__)
  constexpr std::uint64_t kLongTurns = 400'000;  // as long as the release build's two million
#else
  constexpr std::uint64_t kLongTurns = 2'000'000;
#endif
  const std::uint64_t turns =
      set_long != nullptr && std::string_view(set_long) == "1" ? kLongTurns : 50'000;
  const iotlb::Invalidation kinds[] = {{.scope = iotlb::Scope::kDomain, .domain = kDomain},
                                       {.scope = iotlb::Scope::kRange,
                                        .domain = kDomain,
                                        .range = {Iova(0), Iova((kLeaves << kPageLg2) - 1)}},
                                       {.scope = iotlb::Scope::kAll}};

  fill(leaf_page(0), 0);
  set(kLevel2, VtdSecondStage::make_table(leaf_page(0), 2));
  std::thread devices[] = {std::thread([this] { run_device(4); }),
                           std::thread([this] { run_device(5); })};
  // A guest alone is faster than one that is waited for: as many walks as turns, at least.
  const auto enough = [&](std::uint64_t turn) {
    return turn > turns && turn % 64 == 0 && iommu_.stats().of(Outcome::kWalked) > turns;
  };
  for (std::uint64_t turn = 1; !enough(turn) && !HasFatalFailure(); ++turn) {
    const std::uint64_t next = leaf_page(turn);
    expect_untouched(next);  // it has been data so far
    fill(next, 0);
    set(kLevel2, VtdSecondStage::make_table(next, 2));
    const Ticket ticket = unit_->host.invalidate(kinds[turn % 3]);
    // Whoever is inside a burst may have lost the processor to us.
    for (std::uint64_t looks = 1; !unit_->host.settled(ticket); ++looks)
      if (looks % 256 == 0) std::this_thread::yield();
    fill(leaf_page(turn - 1), kForbidden);
  }
  // Relaxed: only ends the loops; join orders the rest.
  stop_.store(true, std::memory_order_relaxed);
  for (std::thread& device : devices) device.join();
  EXPECT_EQ(wrong_.load(std::memory_order_relaxed), 0U) << "answers from a page that was data";
}

}  // namespace
}  // namespace weir
