// SPDX-License-Identifier: Apache-2.0
//
// Transitions as text: what is written is read again, and what is no transition is refused with its
// place and cause.
#include <gtest/gtest.h>

#include <random>

#include "iommu/transition.h"

namespace weir {
namespace {

constexpr Requester kFunction = Requester::from_bdf(0, 4, 1);

Transition everything() {
  return {.pools = {{.pool = {7},
                     .window = Window{{Iova(0x80000000), Iova(0x80003fff)},
                                      Gpa(0x100000),
                                      Permissions::read_only()}},
                    {.pool = {8}}},
          .confinements = {{.function = kFunction, .pool = {7}}, {.pool = {8}}},
          .made_private = {whole_space<Gpa>()},
          .made_shared = {{Gpa(0x100000), Gpa(0x1fffff)}},
          .groups = {{.functions = {kFunction, Requester::from_bdf(0xff, 0x1f, 7, 0xabcd)},
                      .to = Transition::GroupTurn::To::kTables}}};
}

TEST(TransitionLine, SaysItAll) {
  EXPECT_EQ(to_line(everything()),
            "private 0x0-0xffffffffffffffff; shared 0x100000-0x1fffff; "
            "pool 7 at 0x80000000-0x80003fff to 0x100000 r; pool 8 nowhere; "
            "confine 0000:00:04.1 to 7; confine all to 8; "
            "group 0000:00:04.1 abcd:ff:1f.7 tables");
  EXPECT_EQ(to_line({}), "");
}

TEST(TransitionLine, IsReadAgain) {
  const auto again = parse_transition(to_line(everything()));
  ASSERT_TRUE(again) << again.error().offset << again.error().cause;
  EXPECT_EQ(*again, everything());
  EXPECT_TRUE(parse_transition("")->empty());
}

TEST(TransitionLine, AnyOneIsReadAgain) {
  std::mt19937_64 random(11);
  const auto range = [&]<typename A>(A) {
    const A a(random() >> random() % 60), b(random() >> random() % 60);
    return AddressRange<A>{std::min(a, b), std::max(a, b)};
  };
  const auto function = [&] {
    return Requester{static_cast<std::uint16_t>(random()), static_cast<std::uint16_t>(random())};
  };
  for (int i = 0; i < 2000; ++i) {
    Transition made;
    for (auto n = random() % 3; n > 0; --n) {
      Transition::PoolMove move{.pool = {static_cast<std::uint32_t>(random())}};
      if (random() % 2 == 0)
        move.window = Window{range(Iova()), Gpa(random()),
                             Permissions::of(random() % 2 == 0, true)};
      made.pools.push_back(move);
    }
    for (auto n = random() % 3; n > 0; --n) {
      made.confinements.push_back({.pool = {static_cast<std::uint32_t>(random())}});
      if (random() % 2 == 0) made.confinements.back().function = function();
    }
    for (auto n = random() % 3; n > 0; --n) made.made_private.push_back(range(Gpa()));
    for (auto n = random() % 3; n > 0; --n) made.made_shared.push_back(range(Gpa()));
    if (random() % 2 == 0) made.groups.push_back({.functions = {function()}});
    const auto again = parse_transition(to_line(made));
    ASSERT_TRUE(again) << to_line(made) << ": " << again.error().cause;
    ASSERT_EQ(*again, made) << to_line(made);
  }
}

TEST(TransitionLine, WhatIsRefusedAndWhere) {
  const struct {
    std::string_view line;
    std::size_t offset;
    std::string_view cause;
  } kCases[] = {
      {"hide 0x0-0xfff", 0, "unknown kind of change"},
      {"private", 7, "expected FIRST-LAST"},
      {"private 0x0", 8, "expected FIRST-LAST"},
      {"private 0-0xfff", 8, "an address begins with 0x"},
      {"private 0x0-0x", 8, "not a number, or too large"},
      {"private 0x0-0x10000000000000000", 8, "not a number, or too large"},
      {"private 0x1000-0xfff", 8, "the range ends before it begins"},
      {"private 0x0-0xfff extra", 18, "one word too many"},
      {"shared 0x0-0xfff; ", 18, "unknown kind of change"},
      {"shared 0x0-0xfff;", 16, "nothing follows the semicolon"},
      {"pool x nowhere", 5, "not a number, or too large"},
      {"pool 4294967296 nowhere", 5, "not a number, or too large"},
      {"pool 7", 6, "expected \"at\" or \"nowhere\""},
      {"pool 7 at 0x0-0xfff into 0x0 rw", 20, "expected \"to\""},
      {"pool 7 at 0x0-0xfff to 0x0 wr", 27, "expected r, w or rw"},
      {"confine 00:04.0 to 7", 8, "expected segment:bus:device.function"},
      {"confine 0000:00:20.0 to 7", 8, "not a number, or too large"},
      {"group identity", 6, "a group has a function"},
      {"group 0000:00:04.0 somewhere", 19, "expected \"identity\" or \"tables\""},
  };
  for (const auto& expected : kCases) {
    const auto got = parse_transition(expected.line);
    ASSERT_FALSE(got) << expected.line;
    EXPECT_EQ(got.error().cause, expected.cause) << expected.line;
    EXPECT_EQ(got.error().offset, expected.offset) << expected.line;
  }
}

}  // namespace
}  // namespace weir
