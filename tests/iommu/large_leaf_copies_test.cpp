// SPDX-License-Identifier: Apache-2.0
//
// A large leaf of AMD-Vi v1 is written in several adjoining entries, which software has to keep
// alike (48882, 2.2.3). What a cached stage 2 makes of it: one of them answers for the whole page,
// until it is invalidated; without caches each answers for itself.
#include <gtest/gtest.h>

#include "iommu/cached_walk.h"
#include "pagetables/amd_v1.h"
#include "tests/pagetables/table_memory.h"

namespace weir {
namespace {

using iotlb::WalkCaches;
using pagetables::AmdV1;
using pagetables::DirectReader;

constexpr DomainId kDomain{3};
constexpr std::uint64_t kRoot = 0x1000;
constexpr unsigned kPageLg2Of64K = 16;  // sixteen entries of a table of level 1

class LargeLeafCopies : public testing::Test {
 protected:
  LargeLeafCopies() {
    for (unsigned n = 0; n < 16; ++n) copy(n) = leaf(0x40000, Permissions::read_write());
  }

  static std::uint64_t leaf(std::uint64_t page, Permissions permissions) {
    return AmdV1::make_leaf(page, kPageLg2Of64K, permissions);
  }
  std::uint64_t& copy(unsigned n) { return memory.at(kRoot + n * 8); }

  pagetables::WalkResult<Gpa> walk(WalkCaches& in, std::uint64_t input,
                                   Access access = Access::kRead) {
    DirectReader reader(memory.physical());
    return CachedStage2<AmdV1, DirectReader>(rules, reader, Gpa(kRoot), 1, in, kDomain,
                                             in.begin_fill(kDomain))(input, {.access = access});
  }

  pagetables::TableMemory memory;
  AmdV1::Rules rules = AmdV1::rules({});
  WalkCaches caches{{.stage1_tables = 16, .stage2_tables = 16, .stage2_pages = 16}};
  WalkCaches off{{.stage1_tables = 0, .stage2_tables = 0, .stage2_pages = 0}};
};

TEST_F(LargeLeafCopies, OneAnswersForThePage) {
  EXPECT_EQ(walk(caches, 0x0123)->translate(0x0123), Gpa(0x40123));
  EXPECT_EQ(walk(caches, 0xf123)->translate(0xf123), Gpa(0x4f123));
  EXPECT_EQ(walk(caches, 0xf123)->references, 0U);
}

// What the fuzzer of the walks came upon: the third copy is no leaf of that size at all.
TEST_F(LargeLeafCopies, UnlikeOnesAnswerByTheOneThatWasRead) {
  copy(2) = 0;
  copy(5) = leaf(0x70000, Permissions::read_only());
  EXPECT_EQ(walk(off, 0x2000).error().reason, FaultReason::kNotPresent);
  EXPECT_EQ(walk(off, 0x5000)->translate(0x5000), Gpa(0x75000));
  EXPECT_EQ(walk(off, 0x5000, Access::kWrite).error().reason, FaultReason::kNoWritePermission);

  EXPECT_EQ(walk(caches, 0x2000).error().reason, FaultReason::kNotPresent);
  ASSERT_TRUE(walk(caches, 0x0000).ok());
  EXPECT_EQ(walk(caches, 0x2000)->translate(0x2000), Gpa(0x42000));
  EXPECT_EQ(walk(caches, 0x5000, Access::kWrite)->translate(0x5000), Gpa(0x45000));
  // Any page of the 64 KiB takes the whole translation away.
  EXPECT_EQ(caches.invalidate({.scope = iotlb::Scope::kRange,
                               .domain = kDomain,
                               .range = {Iova(0xe000), Iova(0xefff)}}),
            1U);
  EXPECT_EQ(walk(caches, 0x2000).error().reason, FaultReason::kNotPresent);
  EXPECT_EQ(walk(caches, 0x5000)->translate(0x5000), Gpa(0x75000));
}

// The first write sets the dirty bit of the copy it goes by; software reads all of them.
TEST_F(LargeLeafCopies, OneIsDirtyForThePage) {
  rules = AmdV1::rules({.accessed_dirty = true});
  const auto dirty_copies = [this] {
    unsigned count = 0;
    for (unsigned n = 0; n < 16; ++n) count += pagetables::v1::kDirty.is_set(copy(n));
    return count;
  };
  ASSERT_TRUE(walk(caches, 0x1000).ok());
  EXPECT_EQ(dirty_copies(), 0U);
  ASSERT_TRUE(walk(caches, 0x3000, Access::kWrite).ok());
  EXPECT_TRUE(pagetables::v1::kDirty.is_set(copy(3)));
  ASSERT_TRUE(walk(caches, 0x9000, Access::kWrite).ok());
  EXPECT_EQ(dirty_copies(), 1U);
}

}  // namespace
}  // namespace weir
