// SPDX-License-Identifier: Apache-2.0
//
// MAP and UNMAP: virtio 1.4, 5.13.6.5.2 and 5.13.6.6, one test for each sentence that a device must
// or should keep.
#include "tests/virtio_iommu/fixture.h"

namespace weir::virtio_iommu::test {
namespace {

class MapTest : public ViommuTest {
 protected:
  explicit MapTest(Options options = {}) : ViommuTest(std::move(options)) {
    EXPECT_EQ(driver_->attach(1, kNvme), guest::kOk);
  }
};

TEST_F(MapTest, WhatIsNotAlignedToTheGranuleIsOutOfRange) {
  EXPECT_EQ(driver_->map(1, 0x1001, 0x1fff, 0x8000), guest::kRange);
  EXPECT_EQ(driver_->map(1, 0x1000, 0x1ffe, 0x8000), guest::kRange);
  EXPECT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8001), guest::kRange);
  EXPECT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8800), guest::kRange);
}

TEST_F(MapTest, AnOverlapIsInvalidAndChangesNothing) {
  ASSERT_EQ(driver_->map(1, 0x2000, 0x3fff, 0x8000), guest::kOk);
  EXPECT_EQ(driver_->map(1, 0x2000, 0x2fff, 0x0), guest::kInval);
  EXPECT_EQ(driver_->map(1, 0x1000, 0x2fff, 0x0), guest::kInval);
  EXPECT_EQ(driver_->map(1, 0x3000, 0x4fff, 0x0), guest::kInval);
  EXPECT_EQ(driver_->map(1, 0x0, 0xffff, 0x0), guest::kInval);
  EXPECT_EQ(lands(kNvme, 0x2000), 0x8000U);
  EXPECT_FALSE(lands(kNvme, 0x1000));
  EXPECT_FALSE(lands(kNvme, 0x4000));
}

TEST_F(MapTest, AFlagThatIsNotKnownIsInvalid) {
  for (unsigned bit = 3; bit < 32; ++bit)
    EXPECT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000, 3 | 1U << bit), guest::kInval) << bit;
}

TEST_F(MapTest, WithoutADomainIsNoEntry) {
  EXPECT_EQ(driver_->map(2, 0x1000, 0x1fff, 0x8000), guest::kNoEnt);
}

TEST_F(MapTest, OnABypassDomainIsInvalid) {
  ASSERT_EQ(driver_->attach(2, kDisk, guest::kAttachBypass), guest::kOk);
  EXPECT_EQ(driver_->map(2, 0x1000, 0x1fff, 0x8000), guest::kInval);
  EXPECT_EQ(driver_->unmap(2, 0x1000, 0x1fff), guest::kInval);
}

TEST_F(MapTest, WhatEndsBeforeItBeginsIsInvalid) {
  EXPECT_EQ(driver_->map(1, 0x2000, 0xfff, 0x8000), guest::kInval);
}

TEST_F(MapTest, AnOutputThatWrapsIsOutOfRange) {
  EXPECT_EQ(driver_->map(1, 0x1000, 0x2fff, ~0ULL - 0xfff), guest::kRange);
}

TEST_F(MapTest, OverAReservedRegionIsRefused) {
  EXPECT_EQ(driver_->map(1, 0xfee00000, 0xfeefffff, 0x0), guest::kInval);
  EXPECT_EQ(driver_->map(1, 0xfedff000, 0xfee00fff, 0x0), guest::kInval);
  EXPECT_EQ(driver_->map(1, 0xfeeff000, 0xfef00fff, 0x0), guest::kInval);
  EXPECT_EQ(driver_->map(1, 0xfedff000, 0xfedfffff, 0x0), guest::kOk) << "just below";
  EXPECT_EQ(driver_->map(1, 0xfef00000, 0xfef00fff, 0x0), guest::kOk) << "just above";
}

TEST_F(MapTest, WritesNeedTheirFlag) {
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000, guest::kMapRead), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x2000, 0x2fff, 0x9000, guest::kMapWrite), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x3000, 0x3fff, 0xa000, 0), guest::kOk);
  EXPECT_EQ(lands(kNvme, 0x1000), 0x8000U);
  EXPECT_FALSE(lands(kNvme, 0x1000, Access::kWrite)) << "also where the entry is cached by now";
  EXPECT_EQ(lands(kNvme, 0x2000, Access::kWrite), 0x9000U);
  EXPECT_FALSE(lands(kNvme, 0x2000)) << "nor is reading implied";
  EXPECT_FALSE(lands(kNvme, 0x3000));
  EXPECT_FALSE(lands(kNvme, 0x3000, Access::kWrite));
}

class DeviceRegisters final : public MemoryTarget {
 public:
  bool read(std::uint64_t offset, std::span<std::byte> to) override {
    for (std::byte& byte : to) byte = static_cast<std::byte>(offset++);
    return true;
  }
  bool write(std::uint64_t offset, std::span<const std::byte>) override {
    written = offset;
    return true;
  }
  std::uint64_t written = 0;
};

TEST_F(MapTest, PeerToPeerReachesTheOtherDevicesRegisters) {
  DeviceRegisters registers;
  std::vector<MemoryRegion> regions(memory_->regions().begin(), memory_->regions().end());
  regions.push_back({.first = Hpa(0xe0000000), .size = 0x1000, .target = &registers});
  auto memory = GuestMemory::create(std::move(regions));
  ASSERT_TRUE(memory);
  (void)iommu_.change_memory(std::make_shared<const GuestMemory>(std::move(*memory)));
  ASSERT_EQ(driver_->map(1, 0x5000, 0x5fff, 0xe0000000, 3 | guest::kMapMmio), guest::kOk);
  EXPECT_TRUE(port(kNvme).write(Iova(0x5010), std::array<std::byte, 4>{}));
  EXPECT_EQ(registers.written, 0x10U);
  std::array<std::byte, 1> got{};
  EXPECT_TRUE(port(kNvme).read(Iova(0x5042), got));
  EXPECT_EQ(got[0], std::byte{0x42});
  const auto window = unit_->window(Requester::from_sid(kNvme), Iova(0x5042));
  ASSERT_TRUE(window);
  EXPECT_TRUE(window->mmio);
}

TEST_F(MapTest, TheWindowIsTheWholeMappingWithAllItPermits) {
  ASSERT_EQ(driver_->map(1, 0x201000, 0x7fffff, 0x1000, guest::kMapRead), guest::kOk);
  const auto window = unit_->window(Requester::from_sid(kNvme), Iova(0x345678));
  ASSERT_TRUE(window);
  EXPECT_EQ(window->range.first, Iova(0x201000));
  EXPECT_EQ(window->range.last, Iova(0x7fffff));
  EXPECT_EQ(window->output, Gpa(0x1000));
  EXPECT_TRUE(window->permissions.can_read());
  EXPECT_FALSE(window->permissions.can_write());
  EXPECT_FALSE(unit_->window(Requester::from_sid(kNvme), Iova(0x200fff)));
  EXPECT_FALSE(unit_->window(Requester::from_sid(0x99), Iova(0x345678)));
}

class UnmapTest : public MapTest {};

TEST_F(UnmapTest, WithoutADomainIsNoEntry) {
  EXPECT_EQ(driver_->unmap(2, 0x1000, 0x1fff), guest::kNoEnt);
}

TEST_F(UnmapTest, WhatEndsBeforeItBeginsIsInvalid) {
  EXPECT_EQ(driver_->unmap(1, 0x2000, 0x1fff), guest::kInval);
}

TEST_F(UnmapTest, ASplitIsOutOfRangeAndRemovesNothing) {
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x2000, 0x4fff, 0x9000), guest::kOk);
  EXPECT_EQ(driver_->unmap(1, 0x1000, 0x2fff), guest::kRange);
  EXPECT_EQ(driver_->unmap(1, 0x3000, 0x3fff), guest::kRange);
  EXPECT_EQ(driver_->unmap(1, 0x4000, 0x9fff), guest::kRange);
  EXPECT_EQ(lands(kNvme, 0x1000), 0x8000U);
  EXPECT_EQ(lands(kNvme, 0x4000), 0xb000U);
}

TEST_F(UnmapTest, HolesAreFine) {
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x5000, 0x5fff, 0x9000), guest::kOk);
  EXPECT_EQ(driver_->unmap(1, 0x0, 0xffffff), guest::kOk);
  EXPECT_FALSE(lands(kNvme, 0x1000));
  EXPECT_FALSE(lands(kNvme, 0x5000));
  EXPECT_EQ(driver_->unmap(1, 0x0, ~0ULL), guest::kOk) << "nothing but a hole";
}

TEST_F(UnmapTest, WhatWasCachedIsGone) {
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  ASSERT_EQ(lands(kNvme, 0x1000), 0x8000U);
  ASSERT_EQ(lands(kNvme, 0x1000), 0x8000U);
  ASSERT_EQ(iommu_.stats().of(Outcome::kHit), 1U) << "it was cached";
  ASSERT_EQ(driver_->unmap(1, 0x1000, 0x1fff), guest::kOk);
  EXPECT_FALSE(lands(kNvme, 0x1000));
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x9000), guest::kOk);
  EXPECT_EQ(lands(kNvme, 0x1000), 0x9000U);
}

// 5.13.6.6.2: reserved bytes that are not zero MAY be INVAL; here they are ignored.
TEST_F(UnmapTest, ReservedBytesAreIgnored) {
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  EXPECT_EQ(driver_->unmap(1, 0x1000, 0x1fff, 7), guest::kOk);
  EXPECT_FALSE(lands(kNvme, 0x1000));
}

class InputRangeTest : public MapTest {
 protected:
  InputRangeTest() : MapTest({.input_range = {Iova(0x10000), Iova(0x7fffffffff)}}) {}
};

TEST_F(InputRangeTest, MappingsOutsideItFail) {
  EXPECT_EQ(driver_->map(1, 0xf000, 0xffff, 0x8000), guest::kRange);
  EXPECT_EQ(driver_->map(1, 0xf000, 0x10fff, 0x8000), guest::kRange);
  EXPECT_EQ(driver_->map(1, 0x7ffffff000, 0x8000000fff, 0x8000), guest::kRange);
  EXPECT_EQ(driver_->map(1, 0x10000, 0x10fff, 0x8000), guest::kOk);
  EXPECT_EQ(driver_->map(1, 0x7ffffff000, 0x7fffffffff, 0x8000), guest::kOk);
}

// The seven examples of 5.13.6.6, as they stand there: addresses in bytes, so a granule of one.
class UnmapExamplesTest : public MapTest {
 protected:
  UnmapExamplesTest() : MapTest({.page_size_mask = ~0ULL}) {}
  std::uint8_t map(std::uint64_t first, std::uint64_t last) {
    return driver_->map(1, first, last, 0x8000 + first);
  }
  [[nodiscard]] bool mapped(std::uint64_t at) { return lands(kNvme, at).has_value(); }
};

TEST_F(UnmapExamplesTest, Example1NothingThere) { EXPECT_EQ(driver_->unmap(1, 0, 4), guest::kOk); }
TEST_F(UnmapExamplesTest, Example2TheWholeOfOne) {
  ASSERT_EQ(map(0, 9), guest::kOk);
  EXPECT_EQ(driver_->unmap(1, 0, 9), guest::kOk);
  EXPECT_FALSE(mapped(0) || mapped(9));
}
TEST_F(UnmapExamplesTest, Example3TwoAtOnce) {
  ASSERT_EQ(map(0, 4), guest::kOk);
  ASSERT_EQ(map(5, 9), guest::kOk);
  EXPECT_EQ(driver_->unmap(1, 0, 9), guest::kOk);
  EXPECT_FALSE(mapped(0) || mapped(9));
}
TEST_F(UnmapExamplesTest, Example4PartOfOneFails) {
  ASSERT_EQ(map(0, 9), guest::kOk);
  EXPECT_EQ(driver_->unmap(1, 0, 4), guest::kRange);
  EXPECT_TRUE(mapped(0) && mapped(9));
}
TEST_F(UnmapExamplesTest, Example5OneOfTwo) {
  ASSERT_EQ(map(0, 4), guest::kOk);
  ASSERT_EQ(map(5, 9), guest::kOk);
  EXPECT_EQ(driver_->unmap(1, 0, 4), guest::kOk);
  EXPECT_FALSE(mapped(4));
  EXPECT_TRUE(mapped(5));
}
TEST_F(UnmapExamplesTest, Example6MoreThanThereIs) {
  ASSERT_EQ(map(0, 4), guest::kOk);
  EXPECT_EQ(driver_->unmap(1, 0, 9), guest::kOk);
  EXPECT_FALSE(mapped(0));
}
TEST_F(UnmapExamplesTest, Example7AcrossAHole) {
  ASSERT_EQ(map(0, 4), guest::kOk);
  ASSERT_EQ(map(10, 14), guest::kOk);
  EXPECT_EQ(driver_->unmap(1, 0, 14), guest::kOk);
  EXPECT_FALSE(mapped(0) || mapped(14));
}

}  // namespace
}  // namespace weir::virtio_iommu::test
