// SPDX-License-Identifier: Apache-2.0
//
// Functions with a window: what they reach, at which offset, with which rights, and that all else
// is a fault. And what functions without a unit owe all the same: host map, bus master, interrupt
// range.
#include <gtest/gtest.h>

#include "tests/iommu/machine.h"

namespace weir::testing_iommu {
namespace {

constexpr std::uint16_t kSid = 0x20;
constexpr std::uint16_t kOtherSid = 0x28;
constexpr PoolId kPool{7};
constexpr Iova kFirst{0x8000'0000};
constexpr std::uint64_t kBytes = 0x4000;
constexpr Window kWindow{{kFirst, kFirst + (kBytes - 1)}, kData};

// Nobody is behind a unit.
class Windows : public testing::Test {
 protected:
  void confine(const Window& window) {
    ASSERT_TRUE(machine.iommu->declare_pool(kPool, window));
    port = attach(kSid, kPool);
    ASSERT_NE(port, nullptr);
  }
  std::unique_ptr<DmaPort> attach(std::uint16_t sid, std::optional<PoolId> pool) {
    auto made = machine.iommu->attach({.function = Requester::from_sid(sid)}, pool);
    return made ? std::move(made).value() : nullptr;
  }
  FaultReason why_not(Iova iova, Access access, std::uint64_t size = 8) {
    const auto t = port->translate(iova, size, access);
    EXPECT_FALSE(t);
    return t ? FaultReason::kHostMapAbsent : t.error().reason;
  }

  Machine machine{{.coverage = {}}};
  std::unique_ptr<DmaPort> port;
};

TEST_F(Windows, AnOffset) {
  confine(kWindow);
  DmaPort::Burst burst(*port);
  const auto t = burst.translate(kFirst + 0x1008, 64, Access::kWrite);
  ASSERT_TRUE(t);
  EXPECT_EQ(t->outcome, Outcome::kWindowed);
  EXPECT_EQ(t->gpa, kData + 0x1008);
  EXPECT_EQ(t->host, machine.host(kData + 0x1008));
  EXPECT_EQ(t->length, 64u);
  EXPECT_EQ(t->page_lg2, 0);
  // To the end in one piece, and not a byte further.
  EXPECT_EQ(burst.translate(kFirst + 0x1000, 0x10000, Access::kRead)->length, kBytes - 0x1000);
  EXPECT_EQ(burst.translate(kFirst + (kBytes - 1), 1, Access::kRead)->length, 1u);
  const Stats stats = machine.iommu->stats();
  EXPECT_EQ(stats.of(Outcome::kWindowed), 3u);
  EXPECT_EQ(stats.pieces(), 3u) << "and nothing else (L9)";
  EXPECT_EQ(stats.walks + stats.fills + stats.context_reads, 0u);
}

TEST_F(Windows, DenyWhatIsOutside) {
  confine(kWindow);
  for (const Iova outside : {Iova(0), Iova(kData.value()), kFirst - 1, kFirst + kBytes, Iova(~0ull)})
    EXPECT_EQ(why_not(outside, Access::kRead, 1), FaultReason::kOutsideWindow) << outside.value();
  EXPECT_FALSE(port->peek(kFirst - 1, Access::kRead));
  EXPECT_TRUE(port->peek(kFirst, Access::kRead));
  EXPECT_EQ(machine.seen.faults.size(), 5u) << "the embedder hears of each";
  EXPECT_EQ(machine.seen.faults[0].code, 0) << "no guest does: there is no unit to record it";
  EXPECT_EQ(machine.iommu->stats().faults.at(FaultReason::kOutsideWindow), 5u);
}

TEST_F(Windows, APieceOutsideEndsATransfer) {
  confine(kWindow);
  std::vector<std::byte> bytes(64, std::byte{0x77});
  const auto written = port->write(kFirst + (kBytes - 16), bytes);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().reason, FaultReason::kOutsideWindow);
  EXPECT_EQ(written.error().completed, 16u);
  EXPECT_EQ(written.error().request.iova, kFirst + kBytes);
  EXPECT_EQ(machine.word(kData + (kBytes - 8)), 0x7777777777777777u);
  EXPECT_EQ(machine.word(kData + kBytes), 0u);
}

TEST_F(Windows, RightsOfOneDirection) {
  confine(Window::identity({kData, kData + (kBytes - 1)}, Permissions::read_only()));
  EXPECT_TRUE(port->translate(Iova(kData.value()), 8, Access::kRead));
  EXPECT_EQ(why_not(Iova(kData.value()), Access::kWrite), FaultReason::kNoWritePermission);
  EXPECT_EQ(why_not(Iova(kData.value()), Access::kReadWrite), FaultReason::kNoWritePermission);
  EXPECT_FALSE(port->map(Iova(kData.value()), 8, Access::kWrite));
}

TEST_F(Windows, ToWriteOnly) {
  confine(Window::identity({kData, kData + (kBytes - 1)}, Permissions::write_only()));
  EXPECT_EQ(why_not(Iova(kData.value()), Access::kRead), FaultReason::kNoReadPermission);
  EXPECT_EQ(why_not(Iova(kData.value()), Access::kReadWrite), FaultReason::kNoReadPermission);
  EXPECT_TRUE(port->translate(Iova(kData.value()), 8, Access::kWrite));
}

// A pool is shared: the same bytes, and a third function that knows nothing of it.
TEST_F(Windows, SeveralFunctionsShareAPool) {
  confine(kWindow);
  const auto other = attach(kOtherSid, kPool);
  const auto free = attach(0x30, std::nullopt);
  const std::uint64_t word = 0x0123456789abcdef;
  ASSERT_TRUE(other->write(kFirst, std::as_bytes(std::span(&word, 1))));
  std::uint64_t got = 0;
  ASSERT_TRUE(port->read(kFirst, std::as_writable_bytes(std::span(&got, 1))));
  EXPECT_EQ(got, word);
  ASSERT_TRUE(free->read(Iova(kData.value()), std::as_writable_bytes(std::span(&got, 1))));
  EXPECT_EQ(got, word);
  EXPECT_EQ(machine.iommu->stats().of(Outcome::kBypassed), 1u);
  EXPECT_EQ(attach(0x38, PoolId{8}), nullptr) << "nobody declared that one";
}

// What is behind a window goes through the host map: it may be absent, a callback, or only to read.
TEST_F(Windows, LandThroughTheHostMap) {
  const Gpa beyond_ram{kRamPages * kPageSize - kPageSize};
  confine({{kFirst, kFirst + (2 * kPageSize - 1)}, beyond_ram});
  EXPECT_TRUE(port->translate(kFirst, 8, Access::kRead));
  EXPECT_EQ(port->translate(kFirst, 2 * kPageSize, Access::kRead)->length, kPageSize);
  EXPECT_EQ(why_not(kFirst + kPageSize, Access::kRead), FaultReason::kHostMapAbsent);
}

TEST_F(Windows, BusMasterAndMessages) {
  confine(kWindow);
  const std::uint32_t data = 0x41;
  EXPECT_TRUE(port->write(Iova(0xfee00000), std::as_bytes(std::span(&data, 1))));
  ASSERT_EQ(machine.seen.device_msis.size(), 1u) << "a message is no memory";
  EXPECT_EQ(machine.seen.device_msis[0].second, (Msi{0xfee00000, data}));
  EXPECT_EQ(why_not(Iova(0xfee00000), Access::kRead), FaultReason::kInterruptMalformed);
  EXPECT_TRUE(machine.iommu->set_bus_master(port->requester(), false).complete());
  EXPECT_EQ(why_not(kFirst, Access::kRead), FaultReason::kBusMasterOff);
}

// The same duties of a function that simply bypasses, and its messages bypass remapping.
TEST_F(Windows, WhatABypassingFunctionOwes) {
  machine.unit->host().set_interrupt_mode(InterruptMode::kRemapping);
  port = attach(kSid, std::nullopt);
  const std::uint32_t data = 0x41;
  EXPECT_TRUE(port->write(Iova(0xfee01000), std::as_bytes(std::span(&data, 1))));
  ASSERT_EQ(machine.seen.interrupts.size(), 1u);
  EXPECT_EQ(machine.seen.interrupts[0].kind, RemappedInterrupt::Kind::kAsItIs);
  EXPECT_EQ(why_not(Iova(0xfee01000), Access::kRead), FaultReason::kInterruptMalformed);
  EXPECT_EQ(why_not(Iova(0x7000'0000), Access::kRead), FaultReason::kHostMapAbsent);
  EXPECT_EQ(why_not(Iova(kRom.value()), Access::kWrite), FaultReason::kHostMapPermission);
  EXPECT_TRUE(machine.iommu->set_bus_master(port->requester(), false).complete());
  EXPECT_EQ(why_not(Iova(kData.value()), Access::kRead), FaultReason::kBusMasterOff);
}

TEST(WindowRefusals, WhatIsNoWindow) {
  const auto why = [](const Window& window) { return why_no_window(window).value_or(""); };
  EXPECT_EQ(why(kWindow), "");
  EXPECT_EQ(why({{Iova(8), Iova(7)}, kData}), "the window's range ends before it begins");
  EXPECT_EQ(why({{Iova(0), Iova(0xfff)}, Gpa(~0ull - 0xffe)}),
            "what the window reaches wraps around the end of memory");
  EXPECT_EQ(why({{Iova(0), Iova(0xfff)}, Gpa(~0ull - 0xfff)}), "");
  EXPECT_EQ(why({{Iova(0xfeeff000), Iova(0xff000000)}, kData}),
            "the window overlaps the interrupt range");
  EXPECT_EQ(why({{Iova(0), Iova(0xfff)}, kData, Permissions::none()}),
            "the window allows neither reading nor writing");
  Machine machine{{.coverage = {}}};
  EXPECT_FALSE(machine.iommu->declare_pool(kPool, {{Iova(8), Iova(7)}, kData}));
}

// The tables win, and say so: a window beside a unit cannot be.
TEST(WindowRefusals, AWindowUnderAUnit) {
  Machine rest;
  ASSERT_TRUE(rest.iommu->declare_pool(kPool, kWindow));
  const auto by_rest = rest.iommu->attach({.function = Requester::from_sid(kSid)}, kPool);
  ASSERT_FALSE(by_rest);
  EXPECT_NE(by_rest.error().find("name the functions of that unit one by one"), std::string::npos)
      << by_rest.error();
  Machine named({.coverage = {{UnitCoverage{
                     .register_base = kUnitBase,
                     .functions = {{.first = kSid, .last = kSid}}}}}});
  ASSERT_TRUE(named.iommu->declare_pool(kPool, kWindow));
  EXPECT_FALSE(named.iommu->attach({.function = Requester::from_sid(kSid)}, kPool));
  EXPECT_TRUE(named.iommu->attach({.function = Requester::from_sid(kOtherSid)}, kPool));
}

TEST(WindowListeners, HearOfTheWindowAndNothingElse) {
  class Sink final : public MapListener {
   public:
    void on_map(const Mapping& mapping) override { maps.push_back(mapping); }
    void on_unmap(const Mapping&) override {}
    void on_lost() override {}
    std::vector<Mapping> maps;
  } sink;
  Machine machine{{.coverage = {}}};
  ASSERT_TRUE(machine.iommu->declare_pool(kPool, kWindow));
  auto port = machine.iommu->attach({.function = Requester::from_sid(kSid)}, kPool).value();
  const auto listening = port->listen(sink);
  ASSERT_TRUE(listening);
  ASSERT_EQ(sink.maps.size(), 1u);
  EXPECT_EQ(sink.maps[0], (Mapping{kWindow.range, kData, Permissions::read_write()}));
}

}  // namespace
}  // namespace weir::testing_iommu
