// SPDX-License-Identifier: Apache-2.0
//
// The small values: permissions, results, clocks, the names of faults.
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "base/access.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/result.h"

namespace weir {
namespace {

TEST(Permissions, EveryAccessAgainstEveryRight) {
  const Permissions none = Permissions::none();
  const Permissions r = Permissions::read_only();
  const Permissions w = Permissions::write_only();
  const Permissions rw = Permissions::read_write();
  for (const Access access : {Access::kRead, Access::kWrite, Access::kReadWrite}) {
    EXPECT_FALSE(none.allows(access));
    EXPECT_TRUE(rw.allows(access));
  }
  EXPECT_TRUE(r.allows(Access::kRead));
  EXPECT_FALSE(r.allows(Access::kWrite));
  EXPECT_FALSE(r.allows(Access::kReadWrite)) << "an atomic needs both";
  EXPECT_FALSE(w.allows(Access::kRead));
  EXPECT_TRUE(w.allows(Access::kWrite));
  EXPECT_FALSE(w.allows(Access::kReadWrite)) << "an atomic needs both";
  EXPECT_FALSE((r & w).can_read() || (r & w).can_write());
  EXPECT_TRUE((r & w).can_execute() && (r & w).user()) << "neither takes these away";
  EXPECT_EQ(rw & w, w);
  EXPECT_EQ(Permissions(), none);
  EXPECT_EQ(Permissions::from_bits(0xfffffffffffffff0), none) << "other bits are not rights";
  EXPECT_EQ(Permissions::from_bits(0xffffffffffffffff), rw);
  EXPECT_EQ(rw.without_write(), r);
  EXPECT_EQ(rw.without_read(), w);
  EXPECT_FALSE(writes(Access::kRead));
  EXPECT_TRUE(writes(Access::kWrite));
  EXPECT_TRUE(writes(Access::kReadWrite));
}

// One denial at a time, and which is named where several apply.
TEST(Permissions, JudgedWithTheRequestersOwnModes) {
  const auto without = [](std::uint8_t bit) {
    return Permissions::from_bits(static_cast<std::uint64_t>(~bit & Permissions::kAllBits));
  };
  const Permissions all = Permissions::all();
  EXPECT_EQ(judge(all, {.access = Access::kReadWrite, .execute = true}), std::nullopt);
  EXPECT_EQ(judge(without(Permissions::kUserBit), {}), Denial::kUser);
  EXPECT_EQ(judge(without(Permissions::kUserBit), {.privileged = true}), std::nullopt);
  EXPECT_EQ(judge(without(Permissions::kReadBit), {}), Denial::kRead);
  EXPECT_EQ(judge(without(Permissions::kReadBit), {.access = Access::kWrite}), std::nullopt);
  const Permissions read_only = without(Permissions::kWriteBit);
  EXPECT_EQ(judge(read_only, {.access = Access::kWrite}), Denial::kWrite);
  EXPECT_EQ(judge(read_only, {.access = Access::kWrite, .privileged = true}), Denial::kWrite);
  EXPECT_EQ(judge(read_only,
                  {.access = Access::kWrite, .privileged = true, .write_protect = false}),
            std::nullopt);
  EXPECT_EQ(judge(read_only, {.access = Access::kWrite, .write_protect = false}), Denial::kWrite)
      << "only privileged writes are let off";
  EXPECT_EQ(judge(without(Permissions::kExecuteBit), {.execute = true}), Denial::kExecute);
  EXPECT_EQ(judge(without(Permissions::kExecuteBit), {}), std::nullopt);
  EXPECT_EQ(judge(Permissions::none(), {.access = Access::kReadWrite, .execute = true}),
            Denial::kUser);
}

Result<std::unique_ptr<int>, std::string> give(bool well) {
  if (!well) return Failure{std::string("no")};
  return std::make_unique<int>(7);
}

TEST(Result, HoldsOneOrTheOther) {
  auto good = give(true);
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(**good, 7);
  const std::unique_ptr<int> moved = std::move(good).value();
  EXPECT_EQ(*moved, 7);
  const auto bad = give(false);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error(), "no");
}

TEST(Result, AFalseValueIsStillAValue) {
  const Result<bool, int> no = false;
  EXPECT_TRUE(no.ok());
  EXPECT_FALSE(*no);
  // Value and error of one type do not get mixed up.
  const Result<int, int> failed = Failure{0};
  EXPECT_FALSE(failed.ok());
  EXPECT_EQ(failed.error(), 0);
}

TEST(Clock, ManualMovesOnlyWhenTold) {
  ManualClock clock;
  EXPECT_EQ(clock.now(), Clock::Duration::zero());
  clock.advance(std::chrono::seconds(2));
  clock.advance(std::chrono::nanoseconds(1));
  EXPECT_EQ(clock.now().count(), 2000000001);
}

TEST(Clock, SteadyNeverGoesBack) {
  const SteadyClock clock;
  const auto before = clock.now();
  EXPECT_GE(clock.now(), before);
}

TEST(Fault, EveryReasonHasANameOfItsOwn) {
  std::set<std::string> names;
  const auto last = static_cast<int>(FaultReason::kAddressWraps);
  for (int i = 0; i <= last; ++i) names.emplace(to_string(static_cast<FaultReason>(i)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(last) + 1);
  EXPECT_EQ(names.count("unknown"), 0u);
  std::set<std::string> stages;
  for (int i = 0; i <= static_cast<int>(Stage::kHostMap); ++i)
    stages.emplace(to_string(static_cast<Stage>(i)));
  EXPECT_EQ(stages.size(), 4u);
}

}  // namespace
}  // namespace weir
