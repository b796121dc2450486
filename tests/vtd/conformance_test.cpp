// SPDX-License-Identifier: Apache-2.0
//
// Items of the conformance list that only a whole machine shows: tables, registers, queue and DMA
// together. The other items stand with the part they are about, named alike.
//
// Clauses of the manual: 7.1.3 (L2, S2; its conditions by name), 7.2.3 (S3), 10.4.4 (R5), 10.4.29
// (R7), 6.5.2 (Q2, Q7 to Q10), 10.4.2 (C1 CM), 6.5.2.1 and 6.5.2.2 (C4).
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "tests/vtd/whole_machine.h"

namespace weir::vtd::test {
namespace {

constexpr std::uint16_t kSid = 0x0010;
constexpr std::uint64_t kIova = 0x10000;

// One function, one PASID entry of a chosen kind, four levels of tables of both stages.
class ConformanceTest : public ::testing::Test {
 protected:
  explicit ConformanceTest(const Options& options = profile::full(),
                           const CacheOptions& caches = {})
      : machine_(options, caches) {
    contexts_ = machine_.page();
    pasids_ = machine_.page();
    first_ = machine_.page();
    second_ = machine_.page();
    buffer_ = machine_.page();
    const std::uint64_t root = machine_.page(), directory = machine_.page();
    machine_.put(root, contexts_ | 1);
    machine_.put(directory, pasids_ | 1);
    machine_.put(contexts_ + kSid * 32U, directory | 9);
    set(2, 5);
    map_first(kIova, buffer_ | 7);
    map_second(kIova, buffer_ | 3);
    machine_.start_queue();
    machine_.writeq(0x20, root | 0x400);
    machine_.command(WholeMachine::kSrtp);
    machine_.command(WholeMachine::kTe);
  }
  void set(std::uint64_t type, std::uint64_t did, std::uint32_t pasid = 0) {
    machine_.put(pasids_ + pasid * 64 + 16, first_ | 16);
    machine_.put(pasids_ + pasid * 64 + 8, did | 1 << 23);
    machine_.put(pasids_ + pasid * 64, second_ | 2 << 2 | type << 6 | 1);
  }
  [[nodiscard]] std::uint64_t first_at(std::uint64_t iova) {
    return machine_.entry_for(first_, 4, iova, 7);
  }
  [[nodiscard]] std::uint64_t second_at(std::uint64_t iova) {
    return machine_.entry_for(second_, 4, iova, 3);
  }
  void map_first(std::uint64_t iova, std::uint64_t entry) { machine_.put(first_at(iova), entry); }
  void map_second(std::uint64_t iova, std::uint64_t entry) { machine_.put(second_at(iova), entry); }
  [[nodiscard]] unsigned code(std::uint64_t iova, std::optional<std::uint32_t> pasid = {}) {
    DmaAttributes attributes;
    if (pasid) attributes.pasid = Pasid{*pasid};
    return machine_.write_code(kSid, iova, attributes);
  }

  WholeMachine machine_;
  std::uint64_t contexts_ = 0, pasids_ = 0, first_ = 0, second_ = 0, buffer_ = 0;
};

// L2 (LGN.2; SGN.6 here): a write that hits what a read of a read-only page has left is recorded.
TEST_F(ConformanceTest, L2WriteAfterReadOfAReadOnlyPage) {
  map_second(kIova, buffer_ | 1);
  ASSERT_EQ(machine_.read_code(kSid, kIova), 0U);
  EXPECT_EQ(code(kIova), 0x85U);
  ASSERT_EQ(machine_.take_faults().size(), 1U);
  EXPECT_EQ(machine_.read_code(kSid, kIova), 0U);
}

// R5 (10.4.4): CFIS follows CFI.
TEST_F(ConformanceTest, R5CompatibilityStatusFollowsTheCommand) {
  machine_.command(1U << 23);
  machine_.command(1U << 23, false);
}

// R7 (10.4.29): the queue error's cause can be read.
TEST_F(ConformanceTest, R7QueueErrorRecord) {
  (void)machine_.post_unwaited(0xa, 0);
  EXPECT_EQ(machine_.readl(0x34) & 0x10, 0x10U);
  EXPECT_EQ(machine_.readq(0xb0) & 0xf, 3U) << "type";
}

// S2 (SPT.2): an entry of zeros is not present, whatever its type field would say. S3: FPD with P
// 0.
TEST_F(ConformanceTest, S2EntryOfZeros) {
  EXPECT_EQ(code(kIova, 9), 0x59U);
  EXPECT_EQ(machine_.take_faults().size(), 1U);
}
TEST_F(ConformanceTest, S3FaultDisableWithoutPresent) {
  machine_.put(pasids_ + 9 * 64, 2);
  EXPECT_EQ(code(kIova, 9), 0x59U);
  EXPECT_TRUE(machine_.take_faults().empty());
}

// S6 (3.6.2): an entry that the guest clears stays cleared, whatever the walk has read before.
TEST_F(ConformanceTest, S6AccessedAndDirtyNeverBringAnEntryBack) {
  set(1, 6, 1);
  const std::uint64_t at = first_at(kIova);
  std::atomic<bool> stop{false};
  std::thread device([&] {
    while (!stop.load()) (void)code(kIova, 1);
  });
  for (int i = 0; i < 2000; ++i) {
    machine_.put(at, buffer_ | 7);
    machine_.put(at, 0);
    ASSERT_EQ(machine_.get(at), 0U);
    std::this_thread::yield();
    ASSERT_EQ(machine_.get(at), 0U);
  }
  stop.store(true);
  device.join();
}

// Q2 (6.5.2.4): every address mask is good for a first-stage flush, and flushes what it covers.
TEST_F(ConformanceTest, Q2AnyMaskOfAPasidFlush) {
  set(1, 6, 1);
  for (unsigned mask = 0; mask < 52; ++mask) {
    map_first(kIova, buffer_ | 7);
    ASSERT_EQ(code(kIova, 1), 0U);
    map_first(kIova, 0);
    machine_.flush_first_stage(6, 1, kIova, mask);
    EXPECT_EQ(code(kIova, 1), 0x71U) << mask;
  }
}

// Q7 (6.5.2.3): a domain's flush leaves the others alone.
TEST_F(ConformanceTest, Q7OtherDomainsStay) {
  set(2, 8, 2);
  ASSERT_EQ(code(kIova), 0U);
  ASSERT_EQ(code(kIova, 2), 0U);
  map_second(kIova, 0);
  machine_.flush_domain(5);
  EXPECT_EQ(code(kIova), 0x85U);
  EXPECT_EQ(code(kIova, 2), 0U) << "legal until its own flush";
  machine_.flush_domain(8);
  EXPECT_EQ(code(kIova, 2), 0x85U);
}

// Q8 (6.5.2.3): a page-selective flush drops a large page around it, and a larger one small pages.
TEST_F(ConformanceTest, Q8PageFlushesAndLargePages) {
  constexpr std::uint64_t kLarge = 0x40000000;
  const std::uint64_t level1 = second_at(kLarge);
  ASSERT_EQ(machine_.get(level1), 0U);
  // The directory entry above it becomes a 2 MiB leaf.
  std::uint64_t table = second_;
  for (const unsigned shift : {39U, 30U})
    table = machine_.get(table + (kLarge >> shift & 0x1ff) * 8) & 0xffffffffff000;
  const std::uint64_t directory = table + (kLarge >> 21 & 0x1ff) * 8;
  machine_.put(directory, 0x200000 | 0x83);
  ASSERT_EQ(code(kLarge + 0x5000), 0U);
  machine_.put(directory, 0);
  machine_.flush_pages(5, kLarge + 0x1f0000, 0);
  EXPECT_EQ(code(kLarge + 0x5000), 0x85U);
  ASSERT_EQ(code(kIova), 0U);
  map_second(kIova, 0);
  machine_.flush_pages(5, 0, 9);
  EXPECT_EQ(code(kIova), 0x85U);
}

// Q9 (6.5.2.3): with IH the tables above a leaf may stay cached, and stay; without it they go.
TEST_F(ConformanceTest, Q9HintKeepsTheTables) {
  ASSERT_EQ(code(kIova), 0U);
  const auto walk_references = [this] {
    const std::uint64_t before = machine_.iommu().stats().references;
    EXPECT_EQ(code(kIova), 0U);
    return machine_.iommu().stats().references - before;
  };
  machine_.flush_pages(5, kIova, 0, true);
  EXPECT_EQ(walk_references(), 1U);
  machine_.flush_pages(5, kIova, 0, false);
  EXPECT_EQ(walk_references(), 4U);
}

// Q10 (6.5.2.8, VER 4.0): a wait completes only when DMA that uses the old translation has ended.
TEST_F(ConformanceTest, Q10WaitDrainsWhatIsInFlight) {
  {
    DmaPort::Burst burst(machine_.device(kSid));
    ASSERT_TRUE(burst.translate(Iova(kIova), 4, Access::kWrite));
    map_second(kIova, 0);
    const std::uint64_t seen = machine_.post_unwaited(0xe2 | 5U << 16, 0);
    EXPECT_NE(seen, machine_.wait_serial());
  }
  EXPECT_EQ(machine_.wait_status(), machine_.wait_serial());
  // A pin holds it back as well.
  map_second(kIova, buffer_ | 3);
  auto pin = machine_.device(kSid).map(Iova(kIova), 64, Access::kWrite);
  ASSERT_TRUE(pin);
  map_second(kIova, 0);
  const std::uint64_t seen = machine_.post_unwaited(0xe2 | 5U << 16, 0);
  EXPECT_NE(seen, machine_.wait_serial());
  pin->release();
  EXPECT_EQ(machine_.wait_status(), machine_.wait_serial());
}

// I11 (5.1.1): a message is an aligned doubleword; nothing else reaches anybody.
TEST_F(ConformanceTest, I11OtherSizesAreNoMessages) {
  DmaPort& device = machine_.device(kSid);
  const std::array<std::byte, 8> bytes{};
  for (const std::size_t size : {1U, 2U, 3U, 8U})
    EXPECT_FALSE(device.write(Iova(0xfee01000), std::span(bytes).first(size))) << size;
  EXPECT_FALSE(device.write(Iova(0xfee01002), std::span(bytes).first(4)));
  EXPECT_TRUE(machine_.interrupts.of_devices.empty());
  EXPECT_TRUE(device.write(Iova(0xfee01000), std::span(bytes).first(4)));
}

// C2: when more is mapped than the IOTLB holds, what was used last is still there.
class SmallCacheTest : public ConformanceTest {
 protected:
  SmallCacheTest() : ConformanceTest(profile::full(), {.entries = 64}) {}
};
TEST_F(SmallCacheTest, C2CapacityDoesNotDropEverything) {
  for (std::uint64_t i = 0; i < 256; ++i) map_second(kIova + i * 0x1000, buffer_ | 3);
  std::uint64_t hits = 0;
  for (std::uint64_t i = 0; i < 256; ++i) {
    ASSERT_EQ(code(kIova + i * 0x1000), 0U);
    const std::uint64_t before = machine_.iommu().stats().of(Outcome::kHit);
    ASSERT_EQ(code(kIova + i * 0x1000), 0U);
    hits += machine_.iommu().stats().of(Outcome::kHit) - before;
  }
  EXPECT_EQ(hits, 256U);
}

// C1 (CAP.CM): in strict caching mode what was not present stays so, under domain 0, until software
// says that it has changed.
class StrictAbsentTest : public ConformanceTest {
 protected:
  static Options options() {
    Options o = profile::full();
    o.caching_mode = o.strict_absent_contexts = true;
    return o;
  }
  StrictAbsentTest() : ConformanceTest(options()) {}
};
TEST_F(StrictAbsentTest, C1AbsentContextsAreCachedUnderDomain0) {
  EXPECT_EQ(code(kIova, 9), 0x59U);
  EXPECT_EQ(machine_.take_faults().size(), 1U);
  set(2, 5, 9);
  EXPECT_EQ(code(kIova, 9), 0x59U) << "nobody has said so";
  EXPECT_EQ(machine_.take_faults().size(), 1U);
  machine_.flush_pasid(0, 9);
  EXPECT_EQ(code(kIova, 9), 0U);
  // By device, and with its FPD.
  machine_.put(pasids_ + 10 * 64, 2);
  EXPECT_EQ(code(kIova, 10), 0x59U);
  set(2, 5, 10);
  EXPECT_EQ(code(kIova, 10), 0x59U);
  EXPECT_TRUE(machine_.take_faults().empty());
  machine_.flush_context(kSid, 0);
  EXPECT_EQ(code(kIova, 10), 0U);
}

TEST_F(StrictAbsentTest, C1AbsentPagesAreCachedUnderTheirDomain) {
  constexpr std::uint64_t kLater = kIova + 0x5000;
  EXPECT_EQ(code(kLater), 0x85U);
  map_second(kLater, buffer_ | 3);
  EXPECT_EQ(code(kLater), 0x85U) << "nobody has said so";
  machine_.flush_pages(0, kLater, 0);
  EXPECT_EQ(code(kLater), 0x85U) << "another domain's";
  machine_.flush_pages(5, kLater, 0);
  EXPECT_EQ(code(kLater), 0U);
}

// C1: mappings are announced then, and who listens hears of them by the flush that announces them.
TEST_F(StrictAbsentTest, C1ListenersHearWhatIsAnnounced) {
  struct Heard final : MapListener {
    void on_map(const Mapping& mapping) override { held.push_back(mapping.range.first.value()); }
    void on_unmap(const Mapping& mapping) override {
      std::erase(held, mapping.range.first.value());
    }
    void on_lost() override { lost = true; }
    std::vector<std::uint64_t> held;
    bool lost = false;
  } heard;
  const auto listening = machine_.device(kSid).listen(heard);
  ASSERT_TRUE(listening);
  EXPECT_EQ(heard.held, std::vector<std::uint64_t>{kIova});
  constexpr std::uint64_t kLater = kIova + 0x5000;
  map_second(kLater, buffer_ | 3);
  EXPECT_EQ(heard.held.size(), 1U) << "nobody has said so";
  machine_.flush_pages(5, kLater, 0);
  EXPECT_EQ(heard.held.size(), 2U);
  map_second(kIova, 0);
  machine_.flush_pages(5, kIova, 0);
  EXPECT_EQ(heard.held, std::vector<std::uint64_t>{kLater});
  EXPECT_FALSE(heard.lost);
}

// C4 (6.5.2.1, 6.5.2.2): a context or PASID entry that was changed is used as it was until its
// cache is flushed, and then as it is.
TEST_F(ConformanceTest, C4StaleContextsShowAndCanBeFlushed) {
  ASSERT_EQ(code(kIova), 0U);
  machine_.put(pasids_, 0);
  EXPECT_EQ(code(kIova), 0U);
  machine_.flush_iotlb();
  EXPECT_EQ(code(kIova), 0U) << "translations are not contexts";
  machine_.flush_pasid(5, 0);
  EXPECT_EQ(code(kIova), 0x59U);
  set(2, 5);
  EXPECT_EQ(code(kIova), 0U) << "what is not present is not cached";
  machine_.put(contexts_ + kSid * 32U, 0);
  EXPECT_EQ(code(kIova), 0U);
  machine_.flush_context(kSid, 5);
  EXPECT_EQ(code(kIova), 0x41U);
}

}  // namespace
}  // namespace weir::vtd::test
