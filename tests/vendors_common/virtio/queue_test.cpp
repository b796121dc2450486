// SPDX-License-Identifier: Apache-2.0
//
// A virtqueue against the driver's side of one, written apart from it: every shape of ring, chains
// in and out of order, full rings, wrap-arounds, and who notifies whom (virtio 1.4, 2.7 and 2.8).
#include "vendors/common/virtio/queue.h"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <memory>
#include <ostream>
#include <random>

#include "replay/virtio_driver_ring.h"

namespace weir::virtio {
namespace {

using replay::RingShape;
using replay::VirtioDriverRing;

constexpr std::uint64_t kRamBytes = std::uint64_t{1} << 20;
constexpr Gpa kBuffers{0x80000};

class PlainMemory final : public QueueMemory {
 public:
  explicit PlainMemory(const pagetables::PhysicalMemory& memory) : memory_(memory) {}
  bool read(Gpa at, std::span<std::byte> to) override { return memory_.read(at, to).ok(); }
  bool write(Gpa at, std::span<const std::byte> from) override {
    return memory_.write(at, from).ok();
  }

 private:
  const pagetables::PhysicalMemory& memory_;
};

class QueueTest : public testing::TestWithParam<RingShape> {
 protected:
  QueueTest()
      : words_(std::make_unique<std::uint64_t[]>(kRamBytes / 8)),
        physical_(std::make_shared<GuestMemory>(GuestMemory::single(
            Hpa(0), std::as_writable_bytes(std::span(words_.get(), kRamBytes / 8))))),
        memory_(physical_),
        driver_(physical_, Gpa(0x1000), GetParam()),
        queue_(Queue::create({.size = GetParam().size,
                              .descriptors = driver_.descriptors(),
                              .driver = driver_.driver_area(),
                              .device = driver_.device_area(),
                              .packed = GetParam().packed,
                              .indirect = GetParam().indirect,
                              .event_index = GetParam().event_index},
                             memory_)
                   .value()) {}

  // Two parts to read, one to write, all distinct; the number is in the first byte.
  [[nodiscard]] std::optional<std::uint16_t> add(std::uint8_t number) {
    const Gpa at = kBuffers + number * 64U;
    const std::array<std::byte, 1> first{std::byte{number}};
    (void)physical_.write(at, first);
    const std::array readable = {VirtioDriverRing::Part{at, 3}, VirtioDriverRing::Part{at + 8, 5}};
    const std::array writable = {VirtioDriverRing::Part{at + 32, 7}};
    return driver_.add(readable, writable);
  }
  [[nodiscard]] bool pop() {
    const auto popped = queue_.pop(chain_);
    EXPECT_TRUE(popped.ok());
    return popped && *popped;
  }
  [[nodiscard]] std::uint8_t number() {
    std::array<std::byte, 1> first{};
    EXPECT_TRUE(copy_from(memory_, chain_.readable, 0, first));
    return static_cast<std::uint8_t>(first[0]);
  }
  [[nodiscard]] Used used(std::uint32_t written) const {
    return {.id = chain_.id, .slots = chain_.slots, .written = written};
  }
  void use(const Used& one) { EXPECT_TRUE(queue_.use({&one, 1})); }
  // Slots of the ring that add() takes.
  [[nodiscard]] unsigned needed() const { return GetParam().indirect ? 1 : 3; }

  std::unique_ptr<std::uint64_t[]> words_;
  pagetables::PhysicalMemory physical_;
  PlainMemory memory_;
  VirtioDriverRing driver_;
  Queue queue_;
  Chain chain_;
};

std::vector<RingShape> all_shapes() {
  std::vector<RingShape> all;
  for (const bool packed : {false, true})
    for (const bool indirect : {false, true})
      for (const bool event_index : {false, true})
        for (const std::uint16_t size : {std::uint16_t{4}, std::uint16_t{16}})
          all.push_back({size, packed, indirect, event_index});
  all.push_back({.size = 7, .packed = true});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Shapes, QueueTest, testing::ValuesIn(all_shapes()), [](const auto& shape) {
  return std::string(shape.param.packed ? "Packed" : "Split") +
         (shape.param.indirect ? "Indirect" : "") + (shape.param.event_index ? "EventIndex" : "") +
         std::to_string(shape.param.size);
});

TEST_P(QueueTest, NothingIsAvailableAtFirst) { EXPECT_FALSE(pop()); }

TEST_P(QueueTest, AChainComesAsItWasMade) {
  ASSERT_TRUE(add(9));
  EXPECT_FALSE(pop()) << "not published yet";
  (void)driver_.publish();
  ASSERT_TRUE(pop());
  ASSERT_EQ(chain_.readable.size(), 2U);
  EXPECT_EQ(chain_.readable[0].bytes, 3U);
  EXPECT_EQ(chain_.readable[1].at, kBuffers + 9 * 64 + 8);
  ASSERT_EQ(chain_.writable.size(), 1U);
  EXPECT_EQ(chain_.readable_bytes, 8U);
  EXPECT_EQ(chain_.writable_bytes, 7U);
  EXPECT_EQ(number(), 9);
  EXPECT_FALSE(pop()) << "it is taken once";
}

TEST_P(QueueTest, CopiesCrossTheParts) {
  ASSERT_TRUE(add(1));
  (void)driver_.publish();
  ASSERT_TRUE(pop());
  const std::array<std::byte, 5> second{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4},
                                        std::byte{5}};
  (void)physical_.write(chain_.readable[1].at, second);
  std::array<std::byte, 4> got{};
  EXPECT_TRUE(copy_from(memory_, chain_.readable, 2, got));
  EXPECT_EQ(got[1], std::byte{1});
  EXPECT_EQ(got[3], std::byte{3});
  EXPECT_FALSE(copy_from(memory_, chain_.readable, 5, got)) << "one byte too few";
  EXPECT_TRUE(copy_from(memory_, chain_.readable, 4, got));
  EXPECT_FALSE(copy_to(memory_, chain_.writable, 4, got));
  EXPECT_TRUE(copy_to(memory_, chain_.writable, 3, got));
  EXPECT_TRUE(copy_to(memory_, chain_.writable, 7, {})) << "nothing at the very end";
}

TEST_P(QueueTest, WhatIsUsedComesBack) {
  const auto token = add(3);
  ASSERT_TRUE(token);
  (void)driver_.publish();
  ASSERT_TRUE(pop());
  EXPECT_FALSE(driver_.take_used());
  use(used(6));
  const auto returned = driver_.take_used();
  ASSERT_TRUE(returned);
  EXPECT_EQ(returned->token, *token);
  EXPECT_EQ(returned->written, 6U);
  EXPECT_FALSE(driver_.take_used());
}

// Long enough for every index to wrap; a full ring now and then; batches of all sizes.
TEST_P(QueueTest, ManyRoundsInBatches) {
  std::mt19937 random(7);
  std::deque<std::uint16_t> tokens;
  std::uint8_t next_added = 0;
  std::uint8_t next_seen = 0;
  const unsigned at_most = GetParam().size / needed();
  for (int round = 0; round < 3000; ++round) {
    const auto wanted = static_cast<unsigned>(random() % at_most + 1);
    for (unsigned i = 0; i < wanted; ++i) {
      const auto token = add(next_added);
      ASSERT_TRUE(token) << "there is room for it";
      tokens.push_back(*token);
      ++next_added;
    }
    (void)driver_.publish();
    std::vector<Used> batch;
    while (pop()) {
      ASSERT_EQ(number(), next_seen++) << "in the order in which they were made available";
      batch.push_back(used(batch.size() % 8));
    }
    ASSERT_EQ(batch.size(), tokens.size());
    ASSERT_TRUE(queue_.use(batch));
    for (std::size_t i = 0; !tokens.empty(); ++i, tokens.pop_front()) {
      const auto returned = driver_.take_used();
      ASSERT_TRUE(returned);
      ASSERT_EQ(returned->token, tokens.front());
      ASSERT_EQ(returned->written, i % 8);
    }
  }
}

TEST_P(QueueTest, OneInterruptForABatchOrNone) {
  if (GetParam().size < 2 * needed()) GTEST_SKIP() << "no room for two";
  for (const bool wanted : {true, false, true, true, false, false, true}) {
    driver_.want_interrupts(wanted);
    ASSERT_TRUE(add(0) && add(1));
    (void)driver_.publish();
    std::vector<Used> batch;
    while (pop()) batch.push_back(used(0));
    ASSERT_EQ(batch.size(), 2U);
    ASSERT_TRUE(queue_.use(batch));
    const auto asked = queue_.interrupt_wanted();
    ASSERT_TRUE(asked);
    EXPECT_EQ(*asked, wanted);
    const auto again = queue_.interrupt_wanted();
    ASSERT_TRUE(again);
    EXPECT_FALSE(*again) << "nothing was returned since";
    while (driver_.take_used()) {
    }
  }
}

TEST_P(QueueTest, KicksAreSuppressedWhileTheDeviceLooksAnyway) {
  const auto add_and_publish = [&] {
    EXPECT_TRUE(add(0));
    return driver_.publish();
  };
  const auto return_all = [&] {
    while (pop()) use(used(0));
    while (driver_.take_used()) {
    }
  };
  EXPECT_TRUE(add_and_publish()) << "a fresh queue wants to hear of the first";
  return_all();
  ASSERT_TRUE(queue_.suppress_kicks());
  EXPECT_FALSE(add_and_publish());
  return_all();
  auto missed = queue_.want_kicks();
  ASSERT_TRUE(missed);
  EXPECT_FALSE(*missed);
  EXPECT_TRUE(add_and_publish());
  ASSERT_TRUE(queue_.suppress_kicks());
  missed = queue_.want_kicks();
  ASSERT_TRUE(missed);
  EXPECT_TRUE(*missed) << "one is there, and nobody will kick for it";
  return_all();
}

TEST_P(QueueTest, AFullRingInTheDevicesHandsIsNoError) {
  unsigned count = 0;
  while (add(static_cast<std::uint8_t>(count))) ++count;
  EXPECT_EQ(count, GetParam().size / needed());
  (void)driver_.publish();
  std::vector<Used> batch;
  while (pop()) batch.push_back(used(1));
  EXPECT_EQ(batch.size(), count);
  EXPECT_FALSE(pop());
  ASSERT_TRUE(queue_.use(batch));
  for (unsigned i = 0; i < count; ++i) EXPECT_TRUE(driver_.take_used());
}

TEST(QueueErrors, EveryOneHasAName) {
  for (unsigned i = 0; i <= static_cast<unsigned>(QueueError::kBadIndirect); ++i)
    EXPECT_NE(to_string(static_cast<QueueError>(i)), "unknown");
}

}  // namespace
}  // namespace weir::virtio
