// SPDX-License-Identifier: Apache-2.0
//
// Accessed and dirty bits: exactly the owed ones are set, on every entry used, dirty on the leaf
// and for a write alone, nothing where the walk stops; and never into an entry that the guest has
// changed meanwhile.
#include <gtest/gtest.h>

#include "tests/pagetables/formats/all_formats.h"
#include "tests/pagetables/formats/scripted_path.h"

namespace weir::pagetables::facts {
namespace {

using Updates = std::vector<ScriptedReader::Update>;

template <typename Facts>
class FormatAccessedDirty : public testing::Test {
 protected:
  using Path = ScriptedPath<Facts>;
  static constexpr Ask kRead{.access = Access::kRead};
  static constexpr Ask kWrite{.access = Access::kWrite};

  void SetUp() override {
    if (Facts::kAccessed == 0) GTEST_SKIP() << "the format has no such bits";
  }
  // What a walk owes where the levels of `unused` have not been used yet, and the leaf is clean.
  static Updates owed(const Path& path, std::uint64_t input, unsigned unused, bool write) {
    Updates updates;
    for (unsigned level = path.levels(); level >= path.page().level; --level) {
      const std::uint64_t word = path.word(level);
      std::uint64_t bits = (unused >> level & 1) != 0 ? Facts::kAccessed : 0;
      if (write && level == path.page().level) bits |= Facts::kDirty;
      if (bits != 0) updates.push_back({path.entry_at(level, input), word, word | bits});
    }
    return updates;
  }
  static WalkResult<Gpa> walk(Path& path, std::uint64_t input, const Ask& ask) {
    return path.walk(input, ask, Facts::accessed_dirty_rules());
  }
};
TYPED_TEST_SUITE(FormatAccessedDirty, AllFormats, FormatName);

TYPED_TEST(FormatAccessedDirty, ExactlyTheOwedBits) {
  using Facts = TypeParam;
  for_every_page<Facts>([](ScriptedPath<Facts>& clean) {
    const std::uint64_t input = distinct_input<Facts>(clean.levels());
    for (unsigned unused = 0; unused < 2U << clean.levels(); ++unused) {
      ScriptedPath<Facts> path = clean;
      for (unsigned level = path.page().level; level <= path.levels(); ++level)
        if ((unused >> level & 1) == 0) path.set(level, path.word(level) | Facts::kAccessed);
      ScriptedPath<Facts> written = path;

      const auto read = TestFixture::walk(path, input, TestFixture::kRead);
      ASSERT_TRUE(read.ok());
      EXPECT_EQ(path.reader.updates, TestFixture::owed(path, input, unused, false));
      EXPECT_TRUE(read->dirty_owed);
      EXPECT_TRUE(read->permissions.can_write());
      EXPECT_FALSE(read->cacheable().can_write());
      EXPECT_TRUE(read->cacheable().can_read());
      EXPECT_EQ(read->entry, path.word(path.page().level) | Facts::kAccessed);
      ASSERT_TRUE(TestFixture::walk(path, input, TestFixture::kRead).ok());
      EXPECT_TRUE(path.reader.updates.empty()) << "read again";

      const auto write = TestFixture::walk(written, input, TestFixture::kWrite);
      ASSERT_TRUE(write.ok());
      EXPECT_EQ(written.reader.updates, TestFixture::owed(written, input, unused, true));
      EXPECT_FALSE(write->dirty_owed);
      EXPECT_EQ(write->cacheable(), write->permissions);
      EXPECT_EQ(write->entry,
                written.word(written.page().level) | Facts::kAccessed | Facts::kDirty);
      const auto later = TestFixture::walk(written, input, TestFixture::kRead);
      ASSERT_TRUE(later.ok());
      EXPECT_TRUE(written.reader.updates.empty()) << "read after the write";
      EXPECT_FALSE(later->dirty_owed);
      if (testing::Test::HasFailure()) return;
    }
  });
}

TYPED_TEST(FormatAccessedDirty, NothingWithoutTheFeature) {
  using Facts = TypeParam;
  for_every_page<Facts>([](ScriptedPath<Facts>& path) {
    const auto leaf = path.walk(0, TestFixture::kWrite);
    ASSERT_TRUE(leaf.ok());
    EXPECT_TRUE(path.reader.updates.empty());
    EXPECT_FALSE(leaf->dirty_owed);
  });
}

TYPED_TEST(FormatAccessedDirty, NothingWhereTheWalkStops) {
  using Facts = TypeParam;
  for_every_page<Facts>([](ScriptedPath<Facts>& good) {
    for (unsigned level = good.page().level; level <= good.levels(); ++level) {
      ScriptedPath<Facts> path = good;
      path.set(level, 0);
      EXPECT_FALSE(TestFixture::walk(path, 0, TestFixture::kRead).ok());
      EXPECT_TRUE(path.reader.updates.empty()) << "nothing in level " << level;
      path = good;
      path.set(level, *Facts::deny(path.word(level), Access::kWrite));
      EXPECT_FALSE(TestFixture::walk(path, 0, TestFixture::kWrite).ok());
      EXPECT_TRUE(path.reader.updates.empty()) << "no write in level " << level;
      path = good;
      path.reader.remove(path.table_at(level));
      EXPECT_FALSE(TestFixture::walk(path, 0, TestFixture::kRead).ok());
      EXPECT_TRUE(path.reader.updates.empty()) << "no table in level " << level;
    }
  });
}

// Tables that can be read and not written: the first entry that owes a bit says so.
TYPED_TEST(FormatAccessedDirty, MemoryThatCannotBeWritten) {
  using Facts = TypeParam;
  for_every_page<Facts>([](ScriptedPath<Facts>& path) {
    const std::uint64_t input = distinct_input<Facts>(path.levels());
    path.reader.read_only = true;
    for (unsigned level = path.levels(); level >= path.page().level; --level) {
      EXPECT_STOPPED(TestFixture::walk(path, input, TestFixture::kRead), FaultReason::kUpdateFailed,
                     level, path.entry_at(level, input));
      path.set(level, path.word(level) | Facts::kAccessed);
    }
    EXPECT_TRUE(TestFixture::walk(path, input, TestFixture::kRead).ok()) << "nothing is owed";
    EXPECT_STOPPED(TestFixture::walk(path, input, TestFixture::kWrite), FaultReason::kUpdateFailed,
                   path.page().level, path.entry_at(path.page().level, input));
    path.set(path.page().level, path.word(path.page().level) | Facts::kDirty);
    EXPECT_TRUE(TestFixture::walk(path, input, TestFixture::kWrite).ok());
  });
}

// The guest clears an entry between the walk's look at it and its update: the walk looks again.
TYPED_TEST(FormatAccessedDirty, AnEntryClearedMeanwhileStaysCleared) {
  using Facts = TypeParam;
  for_every_page<Facts>([](ScriptedPath<Facts>& good) {
    const std::uint64_t input = distinct_input<Facts>(good.levels());
    for (unsigned level = good.page().level; level <= good.levels(); ++level) {
      ScriptedPath<Facts> path = good;
      const std::uint64_t at = path.entry_at(level, input);
      path.reader.before_update = [&path, at](std::uint64_t updated) {
        if (updated == at) path.reader.put(at, 0);
      };
      EXPECT_STOPPED(TestFixture::walk(path, input, TestFixture::kRead), Facts::kNothing[0], level,
                     at);
      EXPECT_EQ(path.reader.word(at), 0U);
    }
  });
}

// … or gives it another page: then that is the answer.
TYPED_TEST(FormatAccessedDirty, ALeafRemappedMeanwhileIsTheAnswer) {
  using Facts = TypeParam;
  for_every_page<Facts>([](ScriptedPath<Facts>& path) {
    const std::uint64_t input = distinct_input<Facts>(path.levels());
    const PageFact page = path.page();
    const std::uint64_t at = path.entry_at(page.level, input);
    const std::uint64_t other = std::uint64_t{1} << page.lg2;
    path.reader.before_update = [&](std::uint64_t updated) {
      if (updated == at && path.word(page.level) == path.reader.word(at))
        path.reader.put(at, Facts::leaf(other, page.lg2));
    };
    const auto leaf = TestFixture::walk(path, input, TestFixture::kWrite);
    ASSERT_TRUE(leaf.ok());
    EXPECT_EQ(leaf->page, Gpa(other));
    EXPECT_EQ(path.reader.word(at),
              Facts::leaf(other, page.lg2) | Facts::kAccessed | Facts::kDirty);
  });
}

// A guest that never stops changing an entry gets an end, with the entry's own place.
TYPED_TEST(FormatAccessedDirty, AnEntryThatKeepsChangingIsAFailedUpdate) {
  using Facts = TypeParam;
  for_every_page<Facts>([](ScriptedPath<Facts>& path) {
    const std::uint64_t input = distinct_input<Facts>(path.levels());
    for (unsigned level = path.levels(); level >= path.page().level; --level) {
      const std::uint64_t at = path.entry_at(level, input);
      const std::uint64_t word = path.word(level);
      path.reader.before_update = [&](std::uint64_t updated) {
        // Bit 63 means nothing to any of the formats that have these bits.
        if (updated == at) path.reader.put(at, path.reader.word(at) ^ 0x8000'0000'0000'0000);
      };
      EXPECT_STOPPED(TestFixture::walk(path, input, TestFixture::kRead), FaultReason::kUpdateFailed,
                     level, at);
      EXPECT_LE(path.reader.loads.size(), 16U * path.levels());
      path.reader.put(at, word | Facts::kAccessed);
    }
  });
}

}  // namespace
}  // namespace weir::pagetables::facts
