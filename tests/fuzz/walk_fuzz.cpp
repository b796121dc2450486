// SPDX-License-Identifier: Apache-2.0
//
// The walkers under libFuzzer: any table image and any request, one stage and nested, with and
// without walk caches. Whatever the tables say, a walk ends, stays inside memory, and says the same
// when asked again.
//
// Built by the preset `fuzz`; ./run tests runs it.
#include <array>
#include <cstdio>
#include <cstdlib>

#include "iommu/cached_walk.h"
#include "pagetables/amd_v1.h"
#include "pagetables/nested.h"
#include "pagetables/vtd_second_stage.h"
#include "pagetables/x86_first_stage.h"
#include "tests/fuzz/large_leaves.h"
#include "tests/fuzz/walk_world.h"

namespace weir::pagetables::fuzz {
namespace {

constexpr DomainId kDomain{1};
constexpr iotlb::Tag kTag{.domain = kDomain};
constexpr std::uint32_t kMostAttempts = 16;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "walk_fuzz: %s\n", what);
  std::abort();
}

// How the input sets up a stage of each format: its rules, and which bits walks may set.
template <RadixFormat Format>
struct Setup;
template <>
struct Setup<X86FirstStage> {
  static auto rules(std::uint8_t flags) {
    return X86FirstStage::rules({.host_address_bits = flags & 1 ? 40U : 52U,
                                 .pages_1g = (flags & 2) == 0,
                                 .no_execute = (flags & 4) == 0,
                                 .accessed_dirty = (flags & 8) == 0,
                                 .extended_accessed = (flags & 16) != 0,
                                 .reserved_first = (flags & 32) != 0});
  }
  static unsigned levels(std::uint8_t flags) { return flags & 64 ? 5 : 4; }
};
template <>
struct Setup<VtdSecondStage> {
  static auto rules(std::uint8_t flags) {
    return VtdSecondStage::rules({.host_address_bits = flags & 1 ? 40U : 52U,
                                  .snoop_control = (flags & 2) != 0,
                                  .pages_2m = (flags & 4) == 0,
                                  .pages_1g = (flags & 12) == 0,
                                  .accessed_dirty = (flags & 16) == 0});
  }
  static unsigned levels(std::uint8_t flags) { return 3 + (flags >> 5) % 3; }
};
template <>
struct Setup<AmdV1> {
  static auto rules(std::uint8_t flags) {
    return AmdV1::rules(
        {.host_address_bits = flags & 1 ? 40U : 52U, .accessed_dirty = (flags & 2) == 0});
  }
  static unsigned levels(std::uint8_t flags) { return 1 + (flags >> 2) % 6; }
};

// What must be the same when a question is asked again, but for what caches save.
struct Answer {
  bool ok = false;
  std::uint64_t output = 0;
  unsigned page_lg2 = 0;
  std::uint8_t permissions = 0;
  WalkFailure failure;

  friend bool operator==(const Answer& a, const Answer& b) {
    if (a.ok != b.ok) return false;
    if (a.ok)
      return a.output == b.output && a.page_lg2 == b.page_lg2 && a.permissions == b.permissions;
    return a.failure.reason == b.failure.reason && a.failure.stage == b.failure.stage &&
           a.failure.level == b.failure.level && a.failure.entry_at == b.failure.entry_at;
  }
};

void check_failure(const WalkFailure& failure, std::uint32_t most) {
  require(failure.references <= most, "too many references");
  require(failure.level <= 6, "a level that is none");
  require(failure.entry_at % 8 == 0, "an entry between words");
}

template <typename Space>
void check_leaf(const Leaf<Space>& leaf, const Ask& ask, std::uint64_t accessed,
                std::uint64_t dirty) {
  require(leaf.page_lg2 >= kPageLg2 && leaf.page_lg2 < 64, "a page of no size");
  require(is_aligned(leaf.page.value(), leaf.page_lg2), "a page that is not aligned");
  // A privileged write may pass over a read-only page.
  require(leaf.permissions.allows(ask.access) || (ask.privileged && !ask.write_protect),
          "an access that is not allowed");
  require((leaf.cacheable().bits() & ~leaf.permissions.bits()) == 0, "more cached than allowed");
  require((leaf.entry & accessed) == accessed, "a leaf used and not accessed");
  if (writes(ask.access)) require((leaf.entry & dirty) == dirty, "a leaf written and not dirty");
}

// The ask, and the same for other accesses: what one of them leaves in caches, the next finds.
[[nodiscard]] std::array<Ask, 3> all_accesses(Ask ask) {
  std::array<Ask, 3> all;
  for (Ask& one : all) {
    one = ask;
    ask.access = static_cast<Access>((static_cast<unsigned>(ask.access) + 1) % all.size());
  }
  return all;
}

// Asks until nothing is left to update, then again: as before, and twice through caches. Those may
// answer otherwise where the tables are at odds with themselves, which `at_odds` is asked at the
// end.
template <typename Plain, typename Cached, typename AtOdds>
void ask_again(Memory& memory, const Ask& ask, Plain plain, Cached cached, AtOdds at_odds) {
  constexpr int kSettled = 64;  // bits are only ever set, and few of them are on the way
  const auto asks = all_accesses(ask);
  std::array<Answer, asks.size()> first;
  for (int i = 0; i < kSettled; ++i) {
    const std::uint64_t before = memory.updates();
    for (std::size_t n = 0; n < asks.size(); ++n) first[n] = plain(asks[n]);
    if (memory.updates() != before) continue;
    require(plain(ask) == first[0], "another answer to the same question");
    bool same = true;
    for (std::size_t n = 0; n < 2 * asks.size(); ++n)
      same &= cached(asks[n % asks.size()]) == first[n % asks.size()];
    if (at_odds()) return;
    require(same, "another answer through caches");
    require(memory.updates() == before, "an update that nothing called for");
    return;
  }
  require(false, "updates without end");
}

template <RadixFormat Format>
struct Stage {
  typename Format::Rules rules;
  unsigned levels;
  Gpa root;

  Stage(Bytes& bytes, Gpa root_at) : root(root_at) {
    const std::uint8_t flags = bytes.take();
    rules = Setup<Format>::rules(flags);
    levels = Setup<Format>::levels(flags);
  }
};

template <RadixFormat Format>
Answer one_stage(Memory& memory, const Stage<Format>& stage, std::uint64_t input, const Ask& ask,
                 iotlb::WalkCaches* caches) {
  DirectReader reader(memory.physical());
  const auto go = [&] {
    if (caches == nullptr)
      return walk<Format>(stage.rules, reader, stage.root, stage.levels, input, ask);
    CachedTables<Format, Gpa> tables(caches->stage1_tables, kTag,
                                     caches->begin_fill(kDomain).stage1_tables);
    return walk<Format>(stage.rules, reader, stage.root, stage.levels, input, ask, tables);
  };
  const auto leaf = go();
  if (!leaf) {
    check_failure(leaf.error(), kMostAttempts * Format::kMaxLevels);
    return {.failure = leaf.error()};
  }
  require(leaf->references <= kMostAttempts * Format::kMaxLevels, "too many references");
  check_leaf(*leaf, ask, stage.rules.accessed, stage.rules.dirty);
  return {true, leaf->translate(input).value(), leaf->page_lg2, leaf->permissions.bits(), {}};
}

template <RadixFormat Upper, RadixFormat Lower>
Answer nested(Memory& memory, const Stage<Upper>& upper, const Stage<Lower>& lower,
              std::uint64_t input, const Ask& ask, iotlb::WalkCaches& caches, LargeLeaves& leaves) {
  // Updates of both stages may make each other walk again.
  constexpr std::uint32_t kMost =
      kMostAttempts * (2 * Upper::kMaxLevels + 1) * (kMostAttempts * Lower::kMaxLevels + 1);
  WatchingReader reader(memory.physical(), leaves);
  const auto tickets = caches.begin_fill(kDomain);
  CachedStage2<Lower, WatchingReader> below(lower.rules, reader, lower.root, lower.levels, caches,
                                            kDomain, tickets);
  CachedTables<Upper, Ipa> tables(caches, kTag, tickets);
  const auto leaf = nested_walk<Upper>(upper.rules, Ipa(upper.root.value()), upper.levels, below,
                                       reader, input, ask, tables);
  if (!leaf) {
    check_failure(leaf.error(), kMost);
    require(leaf.error().stage != weir::Stage::kNone, "a failure of no stage");
    return {.failure = leaf.error()};
  }
  require(leaf->references() <= kMost, "too many references");
  check_leaf(leaf->upper, ask, upper.rules.accessed, upper.rules.dirty);
  require(leaf->page_lg2() <= leaf->upper.page_lg2 && leaf->page_lg2() <= leaf->lower.page_lg2,
          "a page larger than a stage's");
  // What a cached stage 2 answers allows no more than it did for the access that filled it.
  return {true,
          leaf->translate(input).value(),
          leaf->page_lg2(),
          static_cast<std::uint8_t>(leaf->cacheable().bits()),
          {}};
}

// Nothing but the bits of accessed and dirty may differ, and those only by being set.
void check_memory(const std::vector<std::uint64_t>& before, const std::vector<std::uint64_t>& after,
                  std::uint64_t bits) {
  for (std::size_t i = 0; i < before.size(); ++i) {
    require((before[i] & ~after[i]) == 0, "a bit that was cleared");
    require(((before[i] ^ after[i]) & ~bits) == 0, "a bit that was not to be set");
    const bool writable = i < Memory::kReadOnly * 512;
    require(writable || before[i] == after[i], "a word changed in memory that cannot be written");
  }
}

// Addresses that reach the planted tree, or any at all.
[[nodiscard]] std::uint64_t take_input(Bytes& bytes) {
  const auto low = bytes.take<std::uint32_t>();
  if ((low & 3) != 0) return low >> 8 << 8 & 0x7fffff;
  return bytes.take<std::uint64_t>();
}
[[nodiscard]] Ask take_ask(Bytes& bytes) {
  const std::uint8_t flags = bytes.take();
  return {.access = static_cast<Access>(flags % 3),
          .execute = (flags & 16) != 0,
          .privileged = (flags & 32) != 0,
          .write_protect = (flags & 64) == 0};
}

constexpr unsigned kRequests = 4;

template <RadixFormat Format>
void run_one_stage(Bytes& bytes) {
  Memory memory;
  const Stage<Format> stage(bytes, Gpa(0));
  plant<Format>(memory, stage.rules, stage.root, stage.levels);
  change_words<Format>(memory, stage.rules, bytes);
  const auto before = memory.words();
  iotlb::WalkCaches caches({.stage1_tables = 16, .stage2_tables = 0, .stage2_pages = 0});
  for (unsigned i = 0; i < kRequests && (i == 0 || !bytes.empty()); ++i) {
    const std::uint64_t input = take_input(bytes);
    ask_again(
        memory, take_ask(bytes),
        [&](const Ask& ask) { return one_stage(memory, stage, input, ask, nullptr); },
        [&](const Ask& ask) { return one_stage(memory, stage, input, ask, &caches); },
        [] { return false; });
  }
  check_memory(before, memory.words(), stage.rules.accessed | stage.rules.dirty);
}

template <RadixFormat Upper, RadixFormat Lower>
void run_nested(Bytes& bytes) {
  Memory memory;
  const Stage<Upper> upper(bytes, Gpa(0));
  const Stage<Lower> lower(bytes, Gpa(6 * kPageSize));
  plant<Upper>(memory, upper.rules, upper.root, upper.levels);
  plant<Lower>(memory, lower.rules, lower.root, lower.levels);
  change_words<Upper>(memory, upper.rules, bytes);
  change_words<Lower>(memory, lower.rules, bytes);
  const auto before = memory.words();
  LargeLeaves leaves(memory);
  for (unsigned i = 0; i < kRequests && (i == 0 || !bytes.empty()); ++i) {
    const std::uint64_t input = take_input(bytes);
    iotlb::WalkCaches off({.stage1_tables = 0, .stage2_tables = 0, .stage2_pages = 0});
    // Fresh for each request: an update may have changed what another stage reads.
    iotlb::WalkCaches caches({.stage1_tables = 16, .stage2_tables = 16, .stage2_pages = 16});
    leaves.forget();
    ask_again(
        memory, take_ask(bytes),
        [&](const Ask& ask) { return nested(memory, upper, lower, input, ask, off, leaves); },
        [&](const Ask& ask) { return nested(memory, upper, lower, input, ask, caches, leaves); },
        [&] { return leaves.unlike_copies(); });
  }
  check_memory(before, memory.words(),
               upper.rules.accessed | upper.rules.dirty | lower.rules.accessed | lower.rules.dirty);
}

}  // namespace
}  // namespace weir::pagetables::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir::pagetables;
  using namespace weir::pagetables::fuzz;
  Bytes bytes({data, size});
  switch (bytes.take() % 7) {
    case 0:
      run_one_stage<X86FirstStage>(bytes);
      break;
    case 1:
      run_one_stage<VtdSecondStage>(bytes);
      break;
    case 2:
      run_one_stage<AmdV1>(bytes);
      break;
    case 3:
      run_nested<X86FirstStage, VtdSecondStage>(bytes);
      break;
    case 4:
      run_nested<X86FirstStage, AmdV1>(bytes);
      break;
    case 5:
      run_nested<AmdV1, VtdSecondStage>(bytes);
      break;
    default:
      run_nested<VtdSecondStage, AmdV1>(bytes);
      break;
  }
  return 0;
}
