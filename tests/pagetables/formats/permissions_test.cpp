// SPDX-License-Identifier: Apache-2.0
//
// Permissions are the AND over the levels, and a refused walk stops at the entry, with the reason,
// that the format's manual names: the first entry without the right, or the leaf where everything
// is judged at the end.
#include <gtest/gtest.h>

#include "tests/pagetables/formats/all_formats.h"
#include "tests/pagetables/formats/scripted_path.h"

namespace weir::pagetables::facts {
namespace {

template <typename Facts>
class FormatPermissions : public testing::Test {
 protected:
  using Path = ScriptedPath<Facts>;

  // `levels_without`: bit n is level n.
  static bool take_away(Path& path, Access right, unsigned levels_without) {
    for (unsigned level = path.page().level; level <= path.levels(); ++level) {
      if ((levels_without >> level & 1) == 0) continue;
      const auto word = Facts::deny(path.word(level), right);
      if (!word) return false;
      path.set(level, *word);
    }
    return true;
  }

  static void check(Path& path, unsigned no_read, unsigned no_write, Access access) {
    const std::uint64_t input = distinct_input<Facts>(path.levels());
    const auto leaf = path.walk(input, {.access = access});
    const unsigned missing =
        (access != Access::kWrite ? no_read : 0) | (access != Access::kRead ? no_write : 0);
    if (missing == 0) {
      ASSERT_TRUE(leaf.ok());
      EXPECT_EQ(leaf->permissions.can_read(), no_read == 0);
      EXPECT_EQ(leaf->permissions.can_write(), no_write == 0);
      return;
    }
    unsigned level = path.page().level;
    unsigned no_read_here = no_read;
    unsigned no_write_here = no_write;
    if (!Facts::kJudgedAtLeaf) {
      level = path.levels();
      while ((missing >> level & 1) == 0) --level;
      no_read_here &= 1U << level;
      no_write_here &= 1U << level;
    }
    // A read that also writes lacks the write, where both are missing in one entry.
    const bool write_is_named = access != Access::kRead && no_write_here != 0 &&
                                !(Facts::kJudgedAtLeaf && no_read_here != 0);
    EXPECT_STOPPED(
        leaf, write_is_named ? FaultReason::kNoWritePermission : FaultReason::kNoReadPermission,
        level, Path::entry_at(level, input));
    EXPECT_EQ(leaf.error().references, Facts::kJudgedAtLeaf ? path.levels() - path.page().level + 1
                                                            : path.levels() - level + 1);
  }
};
TYPED_TEST_SUITE(FormatPermissions, AllFormats, FormatName);

TYPED_TEST(FormatPermissions, AreTheAndOverTheLevels) {
  using Facts = TypeParam;
  for_every_page<Facts>([](ScriptedPath<Facts>& path) {
    if (path.page().copies > 2) return;
    const unsigned all = (2U << path.levels()) - (1U << path.page().level);
    // Reads taken away nowhere, in one level, and in all.
    std::vector<unsigned> without_read{0, all};
    for (unsigned level = path.page().level; level < path.levels(); ++level)
      without_read.push_back(1U << level);
    for (unsigned no_write = 0; no_write <= all; no_write += 1U << path.page().level)
      for (const unsigned no_read : without_read) {
        ScriptedPath<Facts> less = path;
        if (!TestFixture::take_away(less, Access::kWrite, no_write)) continue;
        if (!TestFixture::take_away(less, Access::kRead, no_read)) continue;
        SCOPED_TRACE(testing::Message() << "no write " << no_write << ", no read " << no_read);
        for (const Access access : {Access::kRead, Access::kWrite, Access::kReadWrite})
          TestFixture::check(less, no_read, no_write, access);
        if (testing::Test::HasFailure()) return;
      }
  });
}

// What a leaf allows is what it was built with.
TYPED_TEST(FormatPermissions, OfBuiltLeaves) {
  using Facts = TypeParam;
  for_every_page<Facts>([](ScriptedPath<Facts>& path) {
    const PageFact page = path.page();
    using Format = typename Facts::Format;
    path.set(page.level, Format::make_leaf(0, page.lg2, Permissions::read_only()));
    const auto leaf = path.walk(0);
    ASSERT_TRUE(leaf.ok());
    EXPECT_EQ(leaf->permissions, Permissions::read_only());
    EXPECT_FALSE(path.walk(0, {.access = Access::kWrite}).ok());
    path.set(page.level, Format::make_leaf(0, page.lg2, Permissions::none()));
    const auto none = path.walk(0);
    ASSERT_FALSE(none.ok());
    EXPECT_EQ(none.error().level, page.level);
  });
}

}  // namespace
}  // namespace weir::pagetables::facts
