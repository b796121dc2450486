// SPDX-License-Identifier: Apache-2.0
//
// The IOTLB under threads: torn entries (L3), entries that come back after their invalidation (L1,
// L2), counts that do not add up (L9). Bounded by iterations; no sleeps and no clocks.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "iotlb/iotlb.h"
#include "tests/iotlb/stress.h"

namespace weir::iotlb {
namespace {

constexpr std::uint64_t k2M = 0x200000;

// ---- L3: every word of an entry can be told from the others.

struct Words {
  Tag tag;
  Iova page;
  std::uint64_t version = 0;

  [[nodiscard]] std::uint64_t mark() const {
    const std::uint64_t x = (page.value() >> 12) * 31 + tag.domain.value * 7 + version * 1009;
    return x * 0x9e3779b97f4a7c15 >> 44;  // 20 bits
  }
  [[nodiscard]] Entry entry() const {
    return {.tag = tag,
            .page = page,
            .output = mark() << 44 | version << 12,
            .permissions = Permissions::from_bits(1 + version % 3)};
  }
  // Whether the answer to `page` under `tag` is one entry as it was filled.
  [[nodiscard]] static bool whole(Tag tag, Iova page, const Hit& hit) {
    const Words words{tag, page, hit.output >> 12 & 0xffffffff};
    const Entry e = words.entry();
    return e.output == hit.output && e.permissions == hit.permissions;
  }
};

TEST(IotlbStress, EntriesAreNeverTorn) {
  Iotlb one_set({.entries = 4});
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> torn{0};
  std::atomic<std::uint64_t> hits{0};
  const auto words = [](Random& random) {
    return Words{{DomainId{static_cast<std::uint32_t>(1 + random.below(2))}},
                 Iova(random.below(4) << 12),
                 random.below(1u << 20)};
  };
  {
    Threads threads;
    for (int i = 0; i < 2; ++i)
      threads.run([&, i] {
        Random random(static_cast<std::uint64_t>(i));
        while (!stop) {
          const Words want = words(random);
          const auto hit = one_set.lookup(want.tag, want.page);
          if (!hit) continue;
          hits.fetch_add(1, std::memory_order_relaxed);
          if (!Words::whole(want.tag, want.page, *hit)) torn.fetch_add(1);
        }
      });
    threads.run([&] {
      Random random(9);
      for (int n = 0; goes_on(n, 8 * kRounds, hits); ++n) {
        const Words want = words(random);
        (void)one_set.fill(one_set.begin_fill(want.tag.domain), want.entry());
        if (n % 64 != 0) continue;
        (void)one_set.invalidate({.scope = Scope::kDomain, .domain = {1}});
        if (n % 4096 == 0) std::this_thread::yield();
      }
      stop = true;
    });
    // A second writer, so that writers meet as well.
    Random random(10);
    for (int n = 0; !stop; ++n) {
      const Words want = words(random);
      (void)one_set.fill(one_set.begin_fill(want.tag.domain), want.entry());
      if (n % 4096 == 0) std::this_thread::yield();
    }
  }
  EXPECT_EQ(torn, 0u);
  EXPECT_GT(hits, 0u);
}

// ---- L1, L2: a guest's table of versions; the output of an entry is the version it was walked at.

constexpr std::size_t kPages = 16;  // of them the last four are 2 MiB

[[nodiscard]] std::uint8_t size_of(std::size_t page) { return page < 12 ? 12 : 21; }
[[nodiscard]] Iova address_of(std::size_t page) {
  return page < 12 ? Iova(page << 12) : Iova(page * k2M);
}
[[nodiscard]] Tag tag_of(std::size_t page) { return {DomainId{page % 3 == 0 ? 2u : 1u}}; }

class Versions {
 public:
  explicit Versions(const IotlbOptions& options) : tlb_(options) {}

  void device(std::uint64_t seed) {
    Random random(seed);
    while (!stop_) {
      const std::size_t page = random.below(kPages);
      // Acquire: what was complete before this look-up began.
      const std::uint64_t complete = complete_[page].load(std::memory_order_acquire);
      const Iova at = address_of(page) + random.below(std::uint64_t{1} << size_of(page));
      if (const auto hit = tlb_.lookup(tag_of(page), at)) {
        if ((hit->output >> size_of(page)) < complete) stale_.fetch_add(1);
        hits_.fetch_add(1, std::memory_order_relaxed);
        continue;
      }
      const FillTicket ticket = tlb_.begin_fill(tag_of(page).domain);
      const std::uint64_t version = table_[page].load(std::memory_order_acquire);
      linger(random);  // a walk takes its time
      const FillResult result = tlb_.fill(ticket, {.tag = tag_of(page),
                                                   .page = address_of(page),
                                                   .output = version << size_of(page),
                                                   .page_lg2 = size_of(page),
                                                   .permissions = Permissions::read_write()});
      if (result == FillResult::kFilled) filled_.fetch_add(1, std::memory_order_relaxed);
      if (result == FillResult::kRefused) refused_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  void guest() {
    Random random(77);
    for (int n = 1; goes_on(n, kRounds / 8, hits_); ++n) {
      const auto round = static_cast<std::uint64_t>(n);
      const std::size_t page = random.below(kPages);
      table_[page].store(round, std::memory_order_release);
      Invalidation what;
      const Iova first = address_of(page);
      switch (random.below(8)) {
        case 0:
          what.scope = Scope::kAll;
          break;
        case 1:
          what = {.scope = Scope::kDomain, .domain = tag_of(page).domain};
          break;
        case 2:  // one page inside a large one is enough
          what = {.scope = Scope::kRange,
                  .domain = tag_of(page).domain,
                  .range = {first + 0x800, first + 0x800}};
          break;
        default:
          what = {.scope = Scope::kRange,
                  .domain = tag_of(page).domain,
                  .range = {first, first + ((std::uint64_t{1} << size_of(page)) - 1)}};
      }
      removed_ += tlb_.invalidate(what).entries;
      complete_[page].store(round, std::memory_order_release);
      if (round % 512 == 0) std::this_thread::yield();
    }
    stop_ = true;
  }

  void check() {
    EXPECT_EQ(stale_, 0u) << "served after the completion of its invalidation";
    EXPECT_GT(hits_, 0u);
    // No page fits in twice, and nothing is evicted from so roomy a cache: what was filled has been
    // removed or is still there.
    removed_ += tlb_.invalidate({.scope = Scope::kAll}).entries;
    EXPECT_EQ(removed_, filled_);
    EXPECT_EQ(tlb_.size(), 0u);
  }

 private:
  Iotlb tlb_;
  std::array<std::atomic<std::uint64_t>, kPages> table_{};
  std::array<std::atomic<std::uint64_t>, kPages> complete_{};
  std::atomic<std::uint64_t> stale_{0};
  std::atomic<std::uint64_t> hits_{0};
  std::atomic<std::uint64_t> filled_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::uint64_t removed_ = 0;  // the guest's thread
  std::atomic<bool> stop_{false};
};

void run_versions(const IotlbOptions& options) {
  Versions versions(options);
  {
    Threads threads;
    for (std::uint64_t i = 0; i < 3; ++i) threads.run([&, i] { versions.device(i); });
    threads.run([&] { versions.guest(); });
  }
  versions.check();
}

TEST(IotlbStress, NothingIsServedAfterItsInvalidation) { run_versions({.entries = 4096}); }
TEST(IotlbStress, NothingIsServedAfterItsInvalidationByTheReference) {
  run_versions({.entries = 4096, .reference = true});
}

}  // namespace
}  // namespace weir::iotlb
