// SPDX-License-Identifier: Apache-2.0
//
// Every bit of every kind of entry, at every level and under every capability that matters, means
// what the table in the format's facts says: each is changed alone, and the walk must notice it in
// exactly the way that its letter stands for.
#include <gtest/gtest.h>

#include "tests/pagetables/formats/all_formats.h"
#include "tests/pagetables/formats/scripted_path.h"

namespace weir::pagetables::facts {
namespace {

template <typename Facts>
class FormatEntryBits : public testing::Test {
 protected:
  using Rules = typename Facts::Rules;
  using Path = ScriptedPath<Facts>;
  static constexpr std::uint64_t kInput = 0x128;
  static constexpr Ask kRead{.access = Access::kRead};
  static constexpr Ask kWrite{.access = Access::kWrite};

  // A path in which the entry of `kind` allows everything and has been used and written already.
  static Path path_of(unsigned levels, const EntryKind& kind) {
    const unsigned lg2 = kind.page_lg2 != 0 ? kind.page_lg2 : 12;
    const PageFact page{lg2, kind.page_lg2 != 0 ? kind.level : 1, 1};
    // A leaf may turn out to be a table: then of the level below, where it ends.
    Path path(levels, page, kind.level > 1 && lg2 <= 30 ? Path::table_at(kind.level - 1) : 0);
    for (unsigned level = 1; level <= levels; ++level) {
      if (level < page.level)
        path.set(level,
                 level == 1 ? Facts::leaf(0, 12) : Facts::table(Path::table_at(level - 1), level));
      path.set(level, path.word(level) | Facts::kAccessed | Facts::kDirty | extended(kind));
    }
    return path;
  }
  static std::uint64_t extended(const EntryKind& kind) {
    std::uint64_t used = 0;
    for (unsigned bit = 0; bit < 64; ++bit)
      if (kind.bits[63 - bit] == 'A') used |= std::uint64_t{1} << bit;
    return used;
  }

  static void check(unsigned levels, const EntryKind& kind, const Rules& rules, unsigned bit) {
    Path path = path_of(levels, kind);
    const auto before = path.walk(kInput, kWrite, rules);
    ASSERT_TRUE(before.ok());
    ASSERT_TRUE(path.reader.updates.empty());
    const auto loads = path.reader.loads;
    const std::size_t step = levels - kind.level;  // of the entry, among the loads
    const std::uint64_t at = loads[step];

    const std::uint64_t mask = std::uint64_t{1} << bit;
    const std::uint64_t changed = path.word(kind.level) ^ mask;
    path.reader.put(at, changed);
    const bool set = (changed & mask) != 0;
    const auto read = path.walk(kInput, kRead, rules);
    const auto read_updates = path.reader.updates;
    const auto read_loads = path.reader.loads;
    path.reader.put(at, changed);
    const auto write = path.walk(kInput, kWrite, rules);
    const auto write_updates = path.reader.updates;
    const unsigned judged = !Facts::kJudgedAtLeaf ? kind.level
                            : kind.page_lg2 != 0  ? kind.level
                                                  : 1;
    const std::uint64_t judged_at = Facts::kJudgedAtLeaf ? loads.back() : at;
    const std::vector<ScriptedReader::Update> owed{{at, changed, changed | mask}};
    const std::vector<ScriptedReader::Update> nothing;

    switch (kind.bits[63 - bit]) {
      case 'i':
        ASSERT_TRUE(read.ok() && write.ok());
        EXPECT_EQ(read_loads, loads);
        EXPECT_EQ(write->page, before->page);
        EXPECT_EQ(write->page_lg2, before->page_lg2);
        EXPECT_EQ(write->permissions, before->permissions);
        EXPECT_EQ(read_updates, nothing);
        EXPECT_EQ(write_updates, nothing);
        break;
      case 'R':
        ASSERT_TRUE(set);
        EXPECT_STOPPED(read, FaultReason::kReservedBits, kind.level, at);
        EXPECT_STOPPED(write, FaultReason::kReservedBits, kind.level, at);
        break;
      case 'a':
        if (kind.page_lg2 != 0) {
          ASSERT_TRUE(read.ok());
          EXPECT_EQ(read->page, Gpa(before->page.value() ^ mask));
        } else {
          EXPECT_EQ(read_loads.at(step + 1), loads[step + 1] ^ mask);
        }
        break;
      case 'P':
        ASSERT_FALSE(set);
        EXPECT_STOPPED(read, FaultReason::kNotPresent, kind.level, at);
        break;
      case 'r':
        ASSERT_FALSE(set);
        EXPECT_STOPPED(read, FaultReason::kNoReadPermission, judged, judged_at);
        ASSERT_TRUE(write.ok());
        EXPECT_EQ(write->permissions, Permissions::write_only());
        break;
      case 'w':
        ASSERT_FALSE(set);
        EXPECT_STOPPED(write, FaultReason::kNoWritePermission, judged, judged_at);
        ASSERT_TRUE(read.ok());
        EXPECT_EQ(read->permissions, Permissions::read_only());
        break;
      case 'u':
        ASSERT_FALSE(set);
        EXPECT_STOPPED(read, FaultReason::kNotUser, judged, judged_at);
        ASSERT_TRUE(path.walk(kInput, {.privileged = true}, rules).ok());
        break;
      case 'x':
        ASSERT_TRUE(set && read.ok() && write.ok());
        EXPECT_FALSE(read->permissions.can_execute());
        EXPECT_STOPPED(path.walk(kInput, {.execute = true}, rules),
                       FaultReason::kNoExecutePermission, judged, judged_at);
        break;
      case 'A':
        ASSERT_FALSE(set);
        ASSERT_TRUE(read.ok() && write.ok());
        EXPECT_EQ(read_updates, owed);
        EXPECT_EQ(write_updates, owed);
        break;
      case 'D':
        ASSERT_FALSE(set);
        ASSERT_TRUE(read.ok() && write.ok());
        EXPECT_EQ(read_updates, nothing);
        EXPECT_TRUE(read->dirty_owed);
        EXPECT_EQ(write_updates, owed);
        EXPECT_FALSE(write->dirty_owed);
        break;
      case 'S':
        ASSERT_TRUE(read.ok());
        if (kind.page_lg2 == 0) {  // has become a leaf
          EXPECT_EQ(read->level, kind.level);
          EXPECT_EQ(read->page_lg2, Facts::kIndex[kind.level].low);
          EXPECT_EQ(read->page, Gpa(Path::table_at(kind.level - 1)));
        } else {  // has become a table
          EXPECT_GT(read_loads.size(), loads.size());
          EXPECT_EQ(read->level, 1);
        }
        break;
      case 'L':  // the format has a test of its own for every value
        EXPECT_TRUE(!read.ok() || read->page_lg2 != before->page_lg2 || read_loads != loads);
        break;
      case 'z':  // another size, or none
        EXPECT_TRUE(!read.ok() || read->page_lg2 != before->page_lg2);
        break;
      default:
        FAIL() << "no such letter";
    }
  }
};
TYPED_TEST_SUITE(FormatEntryBits, AllFormats, FormatName);

TYPED_TEST(FormatEntryBits, MeanWhatTheManualSays) {
  using Facts = TypeParam;
  for (const auto& variant : Facts::variants())
    for (const unsigned levels : Facts::kLevelCounts)
      for (const EntryKind& kind : variant.kinds) {
        if (kind.level > levels) continue;
        ASSERT_EQ(kind.bits.size(), 64U);
        for (unsigned bit = 0; bit < 64; ++bit) {
          SCOPED_TRACE(testing::Message()
                       << variant.name << ", " << levels << " levels, level " << kind.level
                       << (kind.page_lg2 != 0 ? " leaf of 2^" : " table ") << kind.page_lg2
                       << ", bit " << bit << " (" << kind.bits[63 - bit] << ")");
          this->check(levels, kind, variant.rules, bit);
          if (this->HasFailure()) return;
        }
      }
}

}  // namespace
}  // namespace weir::pagetables::facts
