// SPDX-License-Identifier: Apache-2.0
//
// What a format's masks let through, its judgement of single entries makes the same of: words that
// pass, with every other bit drawn at random, for every ask, level and set of rules.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "pagetables/amd_v1.h"
#include "pagetables/vtd_second_stage.h"
#include "pagetables/x86_first_stage.h"

namespace weir::pagetables {
namespace {

template <typename Format>
std::vector<typename Format::Rules> rules_of() {
  std::vector<typename Format::Rules> all;
  for (const unsigned bits : {39U, 46U, 52U})
    for (const bool updates : {false, true}) {
      typename Format::Capabilities capabilities;
      capabilities.host_address_bits = bits;
      capabilities.accessed_dirty = updates;
      if constexpr (requires { capabilities.no_execute; }) capabilities.no_execute = bits != 46;
      if constexpr (requires { capabilities.extended_accessed; })
        capabilities.extended_accessed = updates;
      if constexpr (requires { capabilities.pages_1g; }) capabilities.pages_1g = bits != 39;
      if constexpr (requires { capabilities.snoop_control; })
        capabilities.snoop_control = bits == 52;
      if constexpr (requires { capabilities.dirty; }) capabilities.dirty = bits != 39;
      all.push_back(Format::rules(capabilities));
    }
  return all;
}

std::vector<Ask> asks() {
  std::vector<Ask> all;
  for (const Access access : {Access::kRead, Access::kWrite, Access::kReadWrite})
    for (unsigned bits = 0; bits < 8; ++bits)
      all.push_back({access, (bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0});
  return all;
}

template <typename Format>
class PlainEntriesOf : public testing::Test {};
using Formats = testing::Types<X86FirstStage, X86FirstStageUnsigned, VtdSecondStage, AmdV1>;
TYPED_TEST_SUITE(PlainEntriesOf, Formats);

TYPED_TEST(PlainEntriesOf, AreWhatInspectSays) {
  using Format = TypeParam;
  std::mt19937_64 random(1);
  for (const auto& rules : rules_of<Format>())
    for (const Ask& ask : asks()) {
      const PlainEntries plain = Format::plain_entries(ask, rules);
      for (unsigned level = 1; level <= Format::kMaxLevels; ++level)
        for (int i = 0; i < 64; ++i) {
          const bool leaf = level == 1;
          const std::uint64_t mask = leaf ? plain.leaf_mask : plain.table_mask;
          const std::uint64_t bits =
              leaf ? plain.leaf_bits : plain.table_bits | Format::below_bits(level);
          ASSERT_EQ(bits & ~mask, 0U);
          const std::uint64_t entry = (random() & ~mask) | bits;
          const Step step = Format::inspect(entry, level, ask, rules);
          ASSERT_EQ(step.kind, leaf ? Step::Kind::kLeaf : Step::Kind::kTable) << level;
          EXPECT_EQ(step.address, entry & Format::kPlainAddress);
          EXPECT_EQ(step.permissions, Format::permissions_of(entry, rules));
          EXPECT_EQ(Format::refuse(step.permissions, ask), std::nullopt);
          EXPECT_TRUE(step.permissions.allows(ask.access) || ask.privileged);
          EXPECT_EQ(entry & step.set_on_use, step.set_on_use) << "nothing is owed";
          if (leaf) {
            EXPECT_EQ(step.page_lg2, kPageLg2);
            EXPECT_EQ(step.set_on_write, Format::dirty_bits(rules));
            const std::uint64_t owed = writes(ask.access) ? step.set_on_write : 0;
            EXPECT_EQ(entry & owed, owed);
          } else {
            EXPECT_EQ(step.next_level, level - 1);
          }
        }
    }
}

// What several entries allow together, from their conjunction with the denying bits turned.
TYPED_TEST(PlainEntriesOf, AllowTogetherWhatEachAllows) {
  using Format = TypeParam;
  std::mt19937_64 random(2);
  const auto rules = rules_of<Format>().back();
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t a = random();
    const std::uint64_t b = random();
    const std::uint64_t together =
        ((a ^ Format::kDenyingBits) & (b ^ Format::kDenyingBits)) ^ Format::kDenyingBits;
    EXPECT_EQ(Format::permissions_of(together, rules),
              Format::permissions_of(a, rules) & Format::permissions_of(b, rules));
  }
}

}  // namespace
}  // namespace weir::pagetables
