// SPDX-License-Identifier: Apache-2.0
//
// A virtio device of no particular type behind both transports: negotiation and status (virtio 1.4,
// 2.1, 2.2, 3.1), the registers of virtio-mmio (4.2.2) and virtio-pci (4.1.4), and what accesses of
// every size and offset come to. Offsets are numbers, as a driver has them.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "vendors/common/virtio/device.h"
#include "vendors/common/virtio/mmio.h"
#include "vendors/common/virtio/pci.h"

namespace weir::virtio {
namespace {

class FakeType final : public DeviceType {
 public:
  [[nodiscard]] std::uint16_t device_id() const override { return 23; }
  [[nodiscard]] std::uint64_t offered_features() const override {
    return 0x5 | 1ULL << 28 | 1ULL << 29 | 1ULL << 32 | 1ULL << 34;
  }
  [[nodiscard]] std::vector<std::uint16_t> queue_sizes() const override { return {256, 64}; }
  void read_config(std::uint64_t offset, std::span<std::byte> to) override {
    for (std::byte& byte : to) byte = static_cast<std::byte>(offset++ + 0x40);
  }
  void write_config(std::uint64_t offset, std::span<const std::byte> from) override {
    writes.emplace_back(offset, from.size());
  }
  void features_accepted(std::uint64_t accepted) override { features = accepted; }
  void start_queue(std::uint16_t queue, const QueueConfig& config) override {
    started.emplace_back(queue, config);
  }
  void stop_queue(std::uint16_t queue) override { stopped.push_back(queue); }
  void kick(std::uint16_t queue) override { kicks.push_back(queue); }
  void reset() override { ++resets; }

  std::uint64_t features = 0;
  std::vector<std::pair<std::uint64_t, std::size_t>> writes;
  std::vector<std::pair<std::uint16_t, QueueConfig>> started;
  std::vector<std::uint16_t> stopped;
  std::vector<std::uint16_t> kicks;
  int resets = 0;
};

class FakeSink final : public InterruptSink {
 public:
  void on_interrupt(const Interrupt& interrupt) override { all.push_back(interrupt); }
  void on_line(bool asserted) override { line = asserted; }
  std::vector<Interrupt> all;
  bool line = false;
};

class TransportTest : public testing::Test {
 protected:
  FakeType type_;
  FakeSink sink_;
  Device device_{type_, &sink_};
};

class MmioTest : public TransportTest {
 protected:
  std::uint32_t read(std::uint64_t at) { return static_cast<std::uint32_t>(mmio_.read(at, 4)); }
  void write(std::uint64_t at, std::uint32_t value) { mmio_.write(at, 4, value); }
  void negotiate(std::uint64_t features) {
    write(0x70, 1);
    write(0x70, 3);
    for (std::uint32_t word : {0U, 1U}) {
      write(0x24, word);
      write(0x20, static_cast<std::uint32_t>(features >> 32 * word));
    }
    write(0x70, 0xb);
  }
  MmioTransport mmio_{device_};
};

constexpr std::uint64_t kVersion1 = 1ULL << 32;

TEST_F(MmioTest, SaysWhatItIs) {
  EXPECT_EQ(read(0x000), 0x74726976U);
  EXPECT_EQ(read(0x004), 2U);
  EXPECT_EQ(read(0x008), 23U);
  EXPECT_NE(read(0x00c), 0U);
  for (const std::uint64_t at : {0xb0, 0xb4, 0xb8, 0xbc})
    EXPECT_EQ(read(at), ~0U) << "there is no shared memory";
}

TEST_F(MmioTest, FeaturesComeInWords) {
  write(0x14, 0);
  EXPECT_EQ(read(0x10), 0x30000005U);
  write(0x14, 1);
  EXPECT_EQ(read(0x10), 5U);
  write(0x14, 2);
  EXPECT_EQ(read(0x10), 0U);
}

TEST_F(MmioTest, GoodFeaturesAreAccepted) {
  negotiate(kVersion1 | 1);
  EXPECT_EQ(read(0x70), 0xbU);
  EXPECT_EQ(type_.features, kVersion1 | 1);
  write(0x24, 0);
  write(0x20, 4);
  EXPECT_EQ(device_.driver_features(), kVersion1 | 1) << "3.1.1: fixed by now";
}

TEST_F(MmioTest, WhatWasNotOfferedIsRefused) {
  negotiate(kVersion1 | 2);
  EXPECT_EQ(read(0x70), 3U);
  EXPECT_EQ(type_.features, 0U);
}

TEST_F(MmioTest, ALegacyDriverIsRefused) {
  negotiate(1);
  EXPECT_EQ(read(0x70), 3U);
}

TEST_F(MmioTest, FeatureBitsBeyondSixtyFourAreRefused) {
  write(0x24, 2);
  write(0x20, 1);
  write(0x70, 0xb);
  EXPECT_EQ(read(0x70), 3U);
}

TEST_F(MmioTest, AQueueStartsWhenItIsReadyAndTheDriverIs) {
  negotiate(kVersion1 | 1ULL << 28 | 1ULL << 34);
  write(0x30, 1);
  EXPECT_EQ(read(0x34), 64U);
  write(0x38, 32);
  const std::uint32_t areas[] = {0x80, 0x90, 0xa0};
  for (const std::uint32_t at : areas) {
    write(at, at << 8);
    write(at + 4, 7);
  }
  write(0x44, 1);
  EXPECT_EQ(read(0x44), 1U);
  EXPECT_TRUE(type_.started.empty()) << "not before DRIVER_OK";
  write(0x50, 1);
  EXPECT_TRUE(type_.kicks.empty());
  write(0x70, 0xf);
  ASSERT_EQ(type_.started.size(), 1U);
  EXPECT_EQ(type_.started[0].first, 1);
  const QueueConfig& config = type_.started[0].second;
  EXPECT_EQ(config.size, 32);
  EXPECT_EQ(config.descriptors, Gpa(0x7'0000'8000));
  EXPECT_EQ(config.driver, Gpa(0x7'0000'9000));
  EXPECT_EQ(config.device, Gpa(0x7'0000'a000));
  EXPECT_TRUE(config.packed && config.indirect);
  EXPECT_FALSE(config.event_index);
  write(0x50, 1);
  write(0x50, 0);
  write(0x50, 9);
  write(0x50, 0x10001);
  EXPECT_EQ(type_.kicks, std::vector<std::uint16_t>{1}) << "the other is not ready";
  write(0x38, 16);
  write(0x80, 0);
  EXPECT_EQ(device_.queue(1).size, 32) << "fixed while it is enabled";
  EXPECT_EQ(device_.queue(1).descriptors, Gpa(0x7'0000'8000));
}

TEST_F(MmioTest, AQueueThatIsStoppedSaysSoWhenItIs) {
  negotiate(kVersion1);
  write(0x70, 0xf);
  write(0x30, 0);
  write(0x44, 1);
  ASSERT_EQ(type_.started.size(), 1U) << "also after DRIVER_OK";
  write(0x44, 0);
  EXPECT_EQ(type_.stopped, std::vector<std::uint16_t>{0});
  EXPECT_EQ(read(0x44), 1U) << "the type is still at it";
  device_.queue_stopped(0);
  EXPECT_EQ(read(0x44), 0U);
}

TEST_F(MmioTest, AResetKeepsTheStatusUntilItIsOver) {
  negotiate(kVersion1);
  write(0x30, 0);
  write(0x44, 1);
  write(0x70, 0xf);
  write(0x70, 0);
  EXPECT_EQ(type_.resets, 1);
  EXPECT_EQ(read(0x70), 0xfU);
  EXPECT_EQ(read(0x44), 0U);
  EXPECT_EQ(device_.driver_features(), 0U);
  // A driver that does not wait (Linux over MMIO) goes on, and is not set back.
  write(0x70, 1);
  EXPECT_EQ(read(0x70), 1U);
  device_.reset_done();
  EXPECT_EQ(read(0x70), 1U);
  write(0x70, 0);
  device_.reset_done();
  EXPECT_EQ(read(0x70), 0U);
}

TEST_F(MmioTest, NeedsResetIsTheDevicesOwn) {
  negotiate(kVersion1);
  write(0x70, 0xf);
  device_.needs_reset();
  EXPECT_EQ(read(0x70), 0x4fU);
  ASSERT_EQ(sink_.all.size(), 1U);
  EXPECT_EQ(sink_.all[0].cause, Interrupt::Cause::kConfig);
  device_.needs_reset();
  EXPECT_EQ(sink_.all.size(), 1U) << "said once";
  write(0x70, 0xf);
  EXPECT_EQ(read(0x70), 0x4fU) << "a driver cannot take it away";
  write(0x70, 0);
  device_.reset_done();
  write(0x70, 0x41);
  EXPECT_EQ(read(0x70), 1U) << "nor set it";
}

TEST_F(MmioTest, InterruptsStandUntilTheyAreAcknowledged) {
  device_.interrupt(1);
  EXPECT_EQ(read(0x60), 1U);
  EXPECT_TRUE(sink_.line);
  device_.interrupt(9);
  negotiate(kVersion1);
  write(0x70, 0xf);
  device_.config_changed();
  EXPECT_EQ(read(0x60), 3U);
  write(0x64, 1);
  EXPECT_EQ(read(0x60), 2U);
  EXPECT_TRUE(sink_.line);
  write(0x64, 2);
  EXPECT_FALSE(sink_.line);
}

TEST_F(MmioTest, TheGenerationMovesWhenSomebodyHasSeenTheOldOne) {
  const std::uint32_t before = read(0xfc);
  device_.config_changed();
  EXPECT_EQ(read(0xfc), before) << "nobody has read the configuration";
  (void)read(0x100);
  device_.config_changed();
  EXPECT_NE(read(0xfc), before);
}

TEST_F(MmioTest, TheConfigurationIsReadInAllSizes) {
  EXPECT_EQ(mmio_.read(0x104, 1), 0x44U);
  EXPECT_EQ(mmio_.read(0x104, 2), 0x4544U);
  EXPECT_EQ(mmio_.read(0x104, 4), 0x47464544U);
  mmio_.write(0x124, 1, 1);
  ASSERT_EQ(type_.writes.size(), 1U);
  EXPECT_EQ(type_.writes[0], (std::pair<std::uint64_t, std::size_t>(0x24, 1)));
}

TEST_F(MmioTest, OtherAccessesReadZeroAndDoNothing) {
  EXPECT_EQ(mmio_.read(0, 1), 0U);
  EXPECT_EQ(mmio_.read(0, 8), 0U);
  EXPECT_EQ(mmio_.read(2, 4), 0U);
  EXPECT_EQ(mmio_.read(0x1fe, 4), 0U);
  EXPECT_EQ(mmio_.read(~0ULL - 3, 4), 0U);
  EXPECT_EQ(mmio_.read(0x101, 2), 0U);
  EXPECT_EQ(mmio_.read(0, 3), 0U);
  EXPECT_EQ(mmio_.read(0, 0), 0U);
  mmio_.write(0x70, 1, 1);
  mmio_.write(0x70, 8, 1);
  EXPECT_EQ(read(0x70), 0U);
}

TEST_F(MmioTest, AnyAccessOfAnySizeIsSafe) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t at = random() % 5 == 0 ? random() : random() % 0x240;
    const auto size = static_cast<unsigned>(random() % 10);
    if (random() % 2 == 0)
      (void)mmio_.read(at, size);
    else
      mmio_.write(at, size, random());
  }
}

class PciTest : public TransportTest {
 protected:
  PciTransport pci_{device_};
};

TEST_F(PciTest, SaysWhatItIs) {
  EXPECT_EQ(pci_.pci_device_id(), 0x1057) << "1af4:1057, as QEMU's virtio-iommu-pci";
  EXPECT_EQ(pci_.read(0x12, 2), 2U) << "num_queues";
}

// The list as a driver follows it (virtio_pci_modern: virtio_pci_find_capability).
TEST_F(PciTest, TheCapabilitiesLeadToTheStructures) {
  const auto bytes = pci_.capabilities(4, 0x40, 0x98);
  const auto at = [&](std::size_t i) { return static_cast<unsigned>(bytes.at(i)); };
  const auto word = [&](std::size_t i) {
    return at(i) | at(i + 1) << 8 | at(i + 2) << 16 | at(i + 3) << 24;
  };
  std::vector<unsigned> types;
  unsigned next = 0x40;
  while (next != 0x98) {
    const std::size_t i = next - 0x40;
    EXPECT_EQ(at(i), 9U);
    types.push_back(at(i + 3));
    const bool window = types.back() == 5;
    EXPECT_EQ(at(i + 4), window ? 0U : 4U) << "the BAR";
    EXPECT_TRUE(types.back() != 1 || word(i + 12) == 0x38U);
    if (types.back() == 2) {
      EXPECT_EQ(at(i + 2), 20U);
      EXPECT_EQ(word(i + 8), 0x3000U);
      EXPECT_EQ(word(i + 16), 4U) << "notify_off_multiplier";
    }
    EXPECT_LE(word(i + 8) + word(i + 12), PciTransport::kBarBytes);
    next = at(i + 1);
  }
  EXPECT_EQ(types, (std::vector<unsigned>{1, 3, 4, 2, 5}));
}

TEST_F(PciTest, AWholeBringUp) {
  pci_.write(0x14, 1, 3);
  pci_.write(0x00, 4, 1);
  EXPECT_EQ(pci_.read(0x04, 4), 5U);
  pci_.write(0x08, 4, 1);
  pci_.write(0x0c, 4, 1);
  EXPECT_EQ(pci_.read(0x0c, 4), 1U) << "readable, unlike over MMIO";
  pci_.write(0x14, 1, 0xb);
  EXPECT_EQ(pci_.read(0x14, 1), 0xbU);
  pci_.write(0x10, 2, 3);
  EXPECT_EQ(pci_.read(0x10, 2), 3U) << "config_msix_vector";
  pci_.write(0x16, 2, 1);
  EXPECT_EQ(pci_.read(0x18, 2), 64U);
  EXPECT_EQ(pci_.read(0x1a, 2), 0xffffU);
  EXPECT_EQ(pci_.read(0x1e, 2), 1U) << "queue_notify_off";
  pci_.write(0x1a, 2, 5);
  pci_.write(0x20, 8, 0x1'0000'2000);
  EXPECT_EQ(pci_.read(0x20, 8), 0x1'0000'2000U);
  EXPECT_EQ(pci_.read(0x24, 4), 1U);
  pci_.write(0x28, 4, 0x3000);
  pci_.write(0x2c, 4, 2);
  pci_.write(0x30, 4, 0x4000);
  pci_.write(0x1c, 2, 0);
  EXPECT_EQ(pci_.read(0x1c, 2), 0U);
  pci_.write(0x1c, 2, 1);
  pci_.write(0x14, 1, 0xf);
  ASSERT_EQ(type_.started.size(), 1U);
  EXPECT_EQ(type_.started[0].second.descriptors, Gpa(0x1'0000'2000));
  EXPECT_EQ(type_.started[0].second.driver, Gpa(0x2'0000'3000));
  pci_.write(0x3004, 2, 1);
  pci_.write(0x3000, 2, 0);
  pci_.write(0x3ffc, 4, 0);
  EXPECT_EQ(type_.kicks, std::vector<std::uint16_t>{1});
  device_.interrupt(1);
  ASSERT_EQ(sink_.all.size(), 1U);
  EXPECT_EQ(sink_.all[0].vector, 5);
  EXPECT_EQ(pci_.read(0x1000, 1), 1U);
  EXPECT_FALSE(sink_.line) << "reading the ISR acknowledges";
  EXPECT_EQ(pci_.read(0x1000, 1), 0U);
  EXPECT_EQ(pci_.read(0x2004, 4), 0x47464544U) << "device configuration";
}

TEST_F(PciTest, AQueueThatDoesNotExistHasNoSize) {
  pci_.write(0x16, 2, 2);
  EXPECT_EQ(pci_.read(0x18, 2), 0U);
  pci_.write(0x1c, 2, 1);
  EXPECT_EQ(pci_.read(0x1c, 2), 0U);
}

TEST_F(PciTest, FieldsHaveTheirWidth) {
  EXPECT_EQ(pci_.read(0x12, 4), 0U);
  EXPECT_EQ(pci_.read(0x12, 1), 0U);
  pci_.write(0x14, 4, 1);
  EXPECT_EQ(pci_.read(0x14, 1), 0U);
  EXPECT_EQ(pci_.read(0x00, 8), 0U);
  EXPECT_EQ(pci_.read(0x24, 8), 0U);
  EXPECT_EQ(pci_.read(0x38, 4), 0U);
}

TEST_F(PciTest, AnyAccessOfAnySizeIsSafe) {
  std::mt19937_64 random(4);
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t at = random() % 5 == 0 ? random() : random() % 0x4100;
    const auto size = static_cast<unsigned>(random() % 10);
    if (random() % 2 == 0)
      (void)pci_.read(at, size);
    else
      pci_.write(at, size, random());
  }
}

}  // namespace
}  // namespace weir::virtio
