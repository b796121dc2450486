// SPDX-License-Identifier: Apache-2.0
//
// A guest that writes anything anywhere: bounded work, nothing out of place, and the unit still
// works afterwards. Fixed seeds, so that a failure is the same failure tomorrow.
#include <gtest/gtest.h>

#include <random>

#include "tests/vtd/unit_fixture.h"

namespace weir::vtd::test {
namespace {

class HostileTest : public UnitTest {
 protected:
  std::mt19937_64 random_{20261120};

  // Numbers as a hostile guest picks them: near what means something, or anything at all.
  [[nodiscard]] std::uint64_t word() {
    switch (random_() % 4) {
      case 0:
        return random_();
      case 1:
        return (random_() % (2 * kRamBytes)) & ~std::uint64_t{0xfff};
      case 2:
        return std::uint64_t{1} << random_() % 64;
      default:
        return random_() % 256;
    }
  }

  void expect_working() {
    host_.release();
    unit_.poll();
    unit_.reset();
    commanded_ = 0;
    for (std::uint64_t at = kRoot; at < kPage; at += 8) host_.store(at, 0);
    set_tables();
    enable_queue();
    host_.store(kStatusAt, 0);
    post(kFlushDomain4);
    post(kWaitStatus, kStatusAt);
    EXPECT_EQ(host_.load32(kStatusAt), 2U);
    EXPECT_EQ(code_of(request(0)), 0U);
  }
};

TEST_F(HostileTest, RandomDescriptors) {
  enable_queue();
  for (int i = 0; i < 100000; ++i) {
    // Near-valid more often than not, or nothing but the type would ever be tested.
    std::uint64_t low = word();
    if (i % 2 == 0) low = (low & 0xffffffff00ffULL) | random_() % 6;
    const std::uint64_t before = head();
    post(low, word());
    if ((read32(kFsts) & kIqe) != 0) {
      ASSERT_EQ(head(), before);
      ASSERT_NE(queue_error(), 0U);
      repair();
    }
    ASSERT_EQ(head(), read32(kIqt));
    if (i % 1000 == 0) host_.forget();
  }
  expect_working();
}

TEST_F(HostileTest, RandomRegisterWrites) {
  for (int i = 0; i < 200000; ++i) {
    const std::uint64_t at = random_() % 8 == 0 ? random_() % 0x2100 : random_() % 0x260;
    const unsigned size = random_() % 2 == 0 ? 4 : 8;
    unit_.write_register(at & ~std::uint64_t{size - 1}, size, word());
    (void)unit_.read_register(at, size);
    if (i % 64 == 0) host_.hold();
    if (i % 64 == 32) {
      host_.release();
      unit_.poll();
    }
    if (i % 1000 == 0) host_.forget();
  }
  expect_working();
}

// Tables of noise under every request: one fault or one leaf each, never more than the levels
// allow.
TEST_F(HostileTest, RandomTables) {
  for (int round = 0; round < 20000; ++round) {
    host_.store(kRoot, word() | random_() % 2);
    host_.store(kContexts + kSid * 16, word() | 1);
    host_.store(kContexts + kSid * 16 + 8, random_() % 4 == 0 ? word() : 0x702);
    if (round % 3 != 0) host_.store(kRoot, kContexts | 1);
    if (round % 3 == 2) host_.store(kContexts + kSid * 16, kLevel4 | 1);
    for (const std::uint64_t table : {kLevel4, kLevel3, kLevel2, kLevel1})
      host_.store(table, word() | (random_() % 4 == 0 ? 0 : 3));
    write64(kRtaddr, round % 16 == 0 ? word() : kRoot);
    command(kSrtp);
    Request r =
        request(random_() % 4 == 0 ? word() : random_() % 4096, static_cast<Access>(random_() % 3));
    r.address_type = static_cast<AddressType>(random_() % 8 == 0 ? random_() % 3 : 0);
    if (random_() % 16 == 0) r.pasid = Pasid{static_cast<std::uint32_t>(random_() % kPasidLimit)};
    const auto result = translate(r);
    if (result) {
      ASSERT_LE(result->references, 5U);
      ASSERT_GE(result->page_lg2, 12);
    } else {
      ASSERT_NE(result.error().code, 0);
      ASSERT_LE(result.error().references, 5U);
      unit_.record(result.error());
    }
    if (round % 1000 == 0) host_.forget();
  }
  expect_working();
}

}  // namespace
}  // namespace weir::vtd::test
