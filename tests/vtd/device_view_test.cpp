// SPDX-License-Identifier: Apache-2.0
//
// A whole machine, as the author of a device emulator has it: firmware table, unit, two devices
// behind it and one that bypasses. The guest's side is registers, a queue and memory and nothing
// else.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "iommu/iommu.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/unit.h"

namespace weir::vtd {
namespace {

constexpr std::uint64_t kRegisters = 0xfed90000;
// Where the guest keeps things.
constexpr std::uint64_t kRoot = 0x1000, kContexts = 0x2000, kTables = 0x3000, kQueue = 0x8000,
                        kStatus = 0x9000, kBuffer = 0x80000;
constexpr Iova kMapped{0x10000}, kUnmapped{0x40000};

struct Interrupts final : InterruptSink {
  void on_device_msi(Requester requester, Msi msi) override {
    of_devices.emplace_back(requester, msi);
  }
  void on_unit_msi(UnitId, Msi msi) override { of_units.push_back(msi); }

  std::vector<std::pair<Requester, Msi>> of_devices;
  std::vector<Msi> of_units;
};

class DeviceView : public testing::Test {
 protected:
  DeviceView() {
    const Coverage coverage{
        {{.register_base = kRegisters,
          .scopes = {{.start_bus = 0, .path = {{4, 0}}}, {.start_bus = 0, .path = {{5, 0}}}}}}};
    EXPECT_TRUE(iommu_.use_tables(dmar_parser(), build_dmar(coverage)));
    unit_ = &iommu_.add_unit<Unit>(kRegisters, Options{});
    disk_ = iommu_.attach({.function = Requester::from_bdf(0, 4, 0)}).value();
    net_ = iommu_.attach({.function = Requester::from_bdf(0, 5, 0)}).value();
    bypass_ = iommu_.attach({.function = Requester::from_bdf(0, 6, 0)}).value();

    put(kRoot, kContexts | 1);
    context(0x20, 1);
    context(0x28, 2);
    put(kTables, (kTables + 0x1000) | 3);
    put(kTables + 0x1000, (kTables + 0x2000) | 3);
    put(kTables + 0x2000, (kTables + 0x3000) | 3);
    map_buffer();
    unit_->write_register(0x90, 8, kQueue);    // IQA: 256 descriptors
    unit_->write_register(0x18, 4, 1U << 26);  // GCMD.QIE
    unit_->write_register(0x20, 8, kRoot);     // RTADDR
    unit_->write_register(0x18, 4, 1U << 26 | 1U << 30);
    unit_->write_register(0x18, 4, 1U << 26 | 1U << 31);
    EXPECT_EQ(unit_->read_register(0x1c, 4), 0xc4000000U);  // TES, RTPS, QIES
  }

  void put(std::uint64_t at, std::uint64_t word) { ASSERT_TRUE(memory_->store64(Hpa(at), word)); }
  void context(std::uint64_t devfn, std::uint64_t domain) {
    put(kContexts + devfn * 16, kTables | 1);
    put(kContexts + devfn * 16 + 8, domain << 8 | 2);
  }
  void map_buffer() { put(kTables + 0x3000 + 0x80, kBuffer | 3); }
  void unmap_buffer() { put(kTables + 0x3000 + 0x80, 0); }

  // A page-selective invalidation of `domain` and a wait that writes `number`, as Linux posts them.
  void flush(std::uint64_t domain, std::uint32_t number) {
    const std::array<std::uint64_t, 4> descriptors{
        domain << 16 | 0xf2, kMapped.value(),  // iotlb, page-selective, DR, DW
        std::uint64_t{number} << 32 | 0x25, kStatus};
    for (const std::uint64_t word : descriptors) {
      put(kQueue + tail_, word);
      tail_ += 8;
    }
    unit_->write_register(0x88, 8, tail_);  // IQT
  }
  [[nodiscard]] std::uint32_t status() {
    return static_cast<std::uint32_t>(*memory_->load64(Hpa(kStatus)));
  }

  alignas(4096) std::array<std::byte, 1 << 20> ram_{};
  std::shared_ptr<GuestMemory> memory_ =
      std::make_shared<GuestMemory>(GuestMemory::single(Hpa(0), ram_));
  Interrupts interrupts_;
  Iommu iommu_{{.memory = memory_, .sinks = {.interrupts = &interrupts_}}};
  Unit* unit_ = nullptr;
  std::unique_ptr<DmaPort> disk_, net_, bypass_;
  std::uint64_t tail_ = 0;
};

// L1, L8. One thread does everything here, so a call that waited for the pin would never return.
TEST_F(DeviceView, APinAcrossAnUnmapHoldsBackTheWaitAndNothingElse) {
  auto pin = disk_->map(kMapped, 64, Access::kWrite);
  ASSERT_TRUE(pin);
  ASSERT_EQ(pin->spans().size(), 1U);
  EXPECT_EQ(pin->spans()[0].host, &ram_[kBuffer]);

  unmap_buffer();
  flush(1, 7);
  EXPECT_EQ(status(), 0U) << "the guest was told while the device could still write";
  EXPECT_EQ(unit_->read_register(0x80, 8), 0x10U) << "IQH stays at the wait";
  EXPECT_FALSE(disk_->write(kMapped, std::array<std::byte, 1>{})) << "new requests see the unmap";
  iommu_.poll();
  EXPECT_EQ(status(), 0U);

  // Another device goes on meanwhile, translated and bypassing.
  map_buffer();
  EXPECT_TRUE(net_->write(kMapped, std::array{std::byte{5}}));
  EXPECT_TRUE(bypass_->write(Iova(kBuffer + 1), std::array{std::byte{6}}));
  EXPECT_EQ(ram_[kBuffer], std::byte{5});
  EXPECT_EQ(ram_[kBuffer + 1], std::byte{6});
  // Registers answer, and more commands queue up behind.
  flush(2, 8);
  EXPECT_EQ(status(), 0U);

  pin.value().release();
  EXPECT_EQ(status(), 8U) << "both waits completed, in order, without another call";
  EXPECT_EQ(unit_->read_register(0x80, 8), tail_);
}

// L5: an unmap in one domain does not wait for a pin in another.
TEST_F(DeviceView, APinOfAnotherDomainHoldsBackNothing) {
  const auto pin = net_->map(kMapped, 64, Access::kRead);
  ASSERT_TRUE(pin);
  unmap_buffer();
  flush(1, 3);
  EXPECT_EQ(status(), 3U);
}

TEST_F(DeviceView, ABurstHoldsBackTheWaitAndItsEndGivesIt) {
  {
    DmaPort::Burst burst(*disk_);
    ASSERT_TRUE(burst.translate(kMapped, 4, Access::kRead));
    unmap_buffer();
    flush(1, 4);
    EXPECT_EQ(status(), 0U);
  }
  EXPECT_EQ(status(), 4U);
}

TEST_F(DeviceView, ARevokedPinLetsTheGuestGoOn) {
  auto pin = disk_->map(kMapped, 64, Access::kWrite);
  ASSERT_TRUE(pin);
  unmap_buffer();
  flush(1, 5);
  EXPECT_EQ(status(), 0U);
  EXPECT_TRUE(iommu_.revoke(pin->id()));
  EXPECT_EQ(status(), 5U);
  EXPECT_FALSE(iommu_.revoke(pin->id()));
}

// Translation off waits like any completion: TES stays until the pin is gone.
TEST_F(DeviceView, TurningTranslationOffWaitsForThePin) {
  auto pin = disk_->map(kMapped, 64, Access::kRead);
  ASSERT_TRUE(pin);
  unit_->write_register(0x18, 4, 1U << 26);  // GCMD without TE
  EXPECT_NE(unit_->read_register(0x1c, 4) & 1U << 31, 0U);
  pin.value().release();
  EXPECT_EQ(unit_->read_register(0x1c, 4) & 1U << 31, 0U);
}

TEST_F(DeviceView, AFaultIsRecordedAndItsInterruptSent) {
  unit_->write_register(0x3c, 4, 0x31);        // FEDATA
  unit_->write_register(0x40, 4, 0xfee01000);  // FEADDR
  unit_->write_register(0x38, 4, 0);           // FECTL: unmask
  std::array<std::byte, 4> data{};
  const auto refused = net_->read(kUnmapped + 4, data);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, 6);
  EXPECT_EQ(refused.error().request.requester, Requester::from_bdf(0, 5, 0));
  EXPECT_EQ(unit_->read_register(0x34, 4) & 2U, 2U);               // FSTS.PPF
  EXPECT_EQ(unit_->read_register(0x220, 8), kUnmapped.value());    // FI: the page
  EXPECT_EQ(unit_->read_register(0x228, 8), 0xc000000600000028U);  // F, read, 06h, 00:05.0
  EXPECT_EQ(interrupts_.of_units, (std::vector<Msi>{{0xfee01000, 0x31}}));
}

TEST_F(DeviceView, AnInterruptIsNeverMemoryAndCarriesItsRequester) {
  const std::array data{std::byte{0x41}, std::byte{0}, std::byte{0}, std::byte{0}};
  EXPECT_TRUE(disk_->write(Iova(0xfee00000), data));
  EXPECT_TRUE(bypass_->write(Iova(0xfee00000), data));
  ASSERT_EQ(interrupts_.of_devices.size(), 2U);
  EXPECT_EQ(interrupts_.of_devices[0].first, Requester::from_bdf(0, 4, 0));
  EXPECT_EQ(interrupts_.of_devices[1].first, Requester::from_bdf(0, 6, 0));
  EXPECT_EQ(interrupts_.of_devices[0].second, (Msi{0xfee00000, 0x41}));
}

TEST_F(DeviceView, BusMasterOffIsCompleteWhenTheFunctionsPinIsGone) {
  auto pin = disk_->map(kMapped, 64, Access::kRead);
  ASSERT_TRUE(pin);
  const Change off = iommu_.set_bus_master(Requester::from_bdf(0, 4, 0), false);
  EXPECT_FALSE(off.complete());
  std::array<std::byte, 4> data{};
  EXPECT_FALSE(disk_->read(kMapped, data));
  EXPECT_TRUE(net_->write(kMapped, std::array<std::byte, 4>{}));
  pin.value().release();
  EXPECT_TRUE(off.complete());
}

}  // namespace
}  // namespace weir::vtd
