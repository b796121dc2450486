// SPDX-License-Identifier: Apache-2.0
//
// Requests as such (virtio 1.4, 5.13.6 and 5.13.6.2) and PROBE (5.13.6.7.2, 5.13.6.8.2).
#include <cstring>

#include "tests/virtio_iommu/fixture.h"

namespace weir::virtio_iommu::test {
namespace {

using RequestTest = ViommuTest;

TEST_F(RequestTest, AnUnknownTypeIsReturnedUnwritten) {
  for (const unsigned type : {0U, 6U, 7U, 0x80U, 0xffU}) {
    auto request = ViommuDriver::map_bytes(1, 0x1000, 0x1fff, 0x8000);
    request[0] = static_cast<std::byte>(type);
    const auto reply = driver_->call(request, 64);
    EXPECT_EQ(reply.written, 0U) << type;
    for (const std::byte byte : reply.bytes) EXPECT_EQ(byte, std::byte{0xff});
  }
  EXPECT_EQ(unit_->counts().unparsed, 5U);
  EXPECT_EQ(driver_->attach(1, kNvme), guest::kOk) << "and the queue goes on";
}

TEST_F(RequestTest, OneTooShortForItsTypeIsReturnedUnwritten) {
  const std::vector<std::vector<std::byte>> requests = {
      ViommuDriver::attach_bytes(1, kNvme), ViommuDriver::detach_bytes(1, kNvme),
      ViommuDriver::map_bytes(1, 0, 0xfff, 0), ViommuDriver::unmap_bytes(1, 0, 0xfff),
      ViommuDriver::probe_bytes(kNvme)};
  for (const auto& request : requests) {
    for (const std::size_t bytes : {std::size_t{1}, std::size_t{3}, request.size() - 1}) {
      const auto reply = driver_->call(std::span(request).first(bytes), 600);
      EXPECT_EQ(reply.written, 0U) << bytes << " of " << request.size();
    }
  }
}

TEST_F(RequestTest, WithoutRoomForTheTailNothingIsDone) {
  EXPECT_EQ(driver_->call(ViommuDriver::attach_bytes(1, kNvme), 3).written, 0U);
  EXPECT_EQ(driver_->call(ViommuDriver::attach_bytes(1, kNvme), 0).written, 0U);
  EXPECT_EQ(driver_->map(1, 0, 0xfff, 0), guest::kNoEnt) << "the domain was not created";
}

TEST_F(RequestTest, TheTailsReservedBytesAreZeroAndTheHeadsAreIgnored) {
  auto request = ViommuDriver::attach_bytes(1, kNvme);
  request[1] = request[2] = request[3] = std::byte{0xee};
  const auto reply = driver_->call(request, 4);
  EXPECT_EQ(reply.written, 4U);
  for (const std::byte byte : reply.bytes) EXPECT_EQ(byte, std::byte{0}) << "OK is 0 as well";
}

TEST_F(RequestTest, ALongerOneThanItsTypeTakesIsTheSame) {
  auto request = ViommuDriver::attach_bytes(1, kNvme);
  request.resize(request.size() + 40, std::byte{0x5a});
  const auto reply = driver_->call(request, 12);
  EXPECT_EQ(reply.written, 4U);
  EXPECT_EQ(reply.bytes[0], std::byte{0});
  EXPECT_EQ(reply.bytes[4], std::byte{0xff}) << "the tail is where the type's ends";
}

using ProbeTest = ViommuTest;

TEST_F(ProbeTest, TellsTheX86MsiWindow) {
  const auto reply = driver_->probe(kNvme);
  EXPECT_EQ(reply.status, guest::kOk);
  EXPECT_EQ(reply.written, driver_->probe_size() + 4);
  // The bytes as QEMU's x86 machines give them: RESV_MEM, 20 bytes, MSI, FEE00000h…FEEFFFFFh.
  const unsigned expected[] = {1, 0, 20, 0, 1,    0,    0,    0,    0, 0, 0xe0, 0xfe,
                               0, 0, 0,  0, 0xff, 0xff, 0xef, 0xfe, 0, 0, 0,    0};
  for (std::size_t i = 0; i < 24; ++i)
    EXPECT_EQ(reply.bytes[i], static_cast<std::byte>(expected[i])) << i;
  for (std::size_t i = 24; i < reply.bytes.size(); ++i)
    ASSERT_EQ(reply.bytes[i], std::byte{0}) << "the rest is zero: " << i;
}

TEST_F(ProbeTest, AnEndpointThatDoesNotExistIsNoEntry) {
  EXPECT_EQ(driver_->probe(kStranger).status, guest::kNoEnt);
}

TEST_F(ProbeTest, TooLittleRoomIsInvalidAndTellsNothing) {
  const auto reply = driver_->probe(kNvme, driver_->probe_size() - 1);
  EXPECT_EQ(reply.status, guest::kInval);
  for (std::size_t i = 0; i < reply.bytes.size() - 4; ++i)
    ASSERT_EQ(reply.bytes[i], std::byte{0}) << "no property: " << i;
  EXPECT_EQ(driver_->probe(kNvme, 0).status, guest::kInval);
}

TEST_F(ProbeTest, ReservedBytesAreIgnored) {
  auto request = ViommuDriver::probe_bytes(kNvme);
  for (std::size_t i = 8; i < request.size(); ++i) request[i] = std::byte{0xa5};
  EXPECT_EQ(driver_->call(request, driver_->probe_size() + 4).status, guest::kOk);
}

TEST_F(ProbeTest, MoreRoomThanNeededIsNotUsed) {
  const auto reply = driver_->probe(kNvme, driver_->probe_size() + 100);
  EXPECT_EQ(reply.written, driver_->probe_size() + 4);
  EXPECT_EQ(reply.status, guest::kOk);
}

class SeveralRegionsTest : public ViommuTest {
 protected:
  SeveralRegionsTest() : ViommuTest(make()) {}
  static Options make() {
    Options options;
    options.endpoints.push_back(
        {.requester = Requester::from_sid(0x30),
         .id = 0x12345,
         .reserved = {{ReservedRegion::Kind::kReserved, {Iova(0), Iova(0xffff)}}, kX86Msi}});
    return options;
  }
};

// 5.13.6.7.2: the second property begins (length + 4) bytes after the first.
TEST_F(SeveralRegionsTest, FollowOneAnother) {
  const auto reply = driver_->probe(0x12345);
  ASSERT_EQ(reply.status, guest::kOk);
  std::uint16_t length = 0;
  std::memcpy(&length, reply.bytes.data() + 2, 2);
  EXPECT_EQ(reply.bytes[4], std::byte{0}) << "RESERVED";
  EXPECT_EQ(reply.bytes[length + 4U], std::byte{1}) << "RESV_MEM again";
  EXPECT_EQ(reply.bytes[length + 4U + 4U], std::byte{1}) << "MSI";
}

TEST_F(SeveralRegionsTest, TheEndpointIsKnownByItsNumberNotItsRequester) {
  EXPECT_EQ(driver_->attach(1, 0x30), guest::kNoEnt);
  EXPECT_EQ(driver_->attach(1, 0x12345), guest::kOk);
  EXPECT_EQ(driver_->map(1, 0, 0xfff, 0), guest::kInval) << "reserved";
  EXPECT_EQ(driver_->map(1, 0x10000, 0x10fff, 0x8000), guest::kOk);
  EXPECT_EQ(lands(0x30, 0x10000), 0x8000U);
}

class NoProbeTest : public ViommuTest {
 protected:
  NoProbeTest() : ViommuTest({.probe_size = 0}) {}
};

TEST_F(NoProbeTest, NotOfferedItIsAnUnknownType) {
  EXPECT_EQ(driver_->features() & guest::kFeatureProbe, 0U);
  EXPECT_EQ(driver_->probe(kNvme, 512).written, 0U);
}

// 5.13.6.5, 5.13.6.3: what was not negotiated is not there.
TEST_F(RequestTest, WithoutMapUnmapThereAreNoSuchRequests) {
  bring_up({.features = 0x73});
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  EXPECT_EQ(driver_->call(ViommuDriver::map_bytes(1, 0, 0xfff, 0), 4).written, 0U);
  EXPECT_EQ(driver_->call(ViommuDriver::unmap_bytes(1, 0, 0xfff), 4).written, 0U);
}

TEST_F(RequestTest, WithoutMmioItsFlagIsUnknown) {
  bring_up({.features = 0x57});
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  EXPECT_EQ(driver_->map(1, 0, 0xfff, 0, 3 | guest::kMapMmio), guest::kInval);
}

TEST_F(RequestTest, WithoutBypassConfigItsFlagIsUnknown) {
  bring_up({.features = 0x37});
  EXPECT_EQ(driver_->attach(1, kNvme, guest::kAttachBypass), guest::kInval);
}

class LimitsTest : public ViommuTest {
 protected:
  LimitsTest()
      : ViommuTest({.limits = {.domains = 2,
                               .mappings_per_domain = 3,
                               .mappings = 4,
                               .attached_endpoints = 2}}) {}
};

TEST_F(LimitsTest, AreAnsweredWithNoMemory) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->attach(2, kDisk), guest::kOk);
  EXPECT_EQ(driver_->attach(1, kNet), guest::kNoMem) << "a third endpoint";
  EXPECT_EQ(driver_->attach(3, kNvme), guest::kOk) << "1 makes room";
  EXPECT_EQ(driver_->attach(2, kNvme), guest::kOk);
  EXPECT_EQ(driver_->attach(4, kNvme), guest::kOk);
  const auto page = [](unsigned i) { return std::uint64_t{i} * 0x1000; };
  for (unsigned i = 0; i < 3; ++i)
    ASSERT_EQ(driver_->map(2, page(i), page(i) + 0xfff, page(i)), guest::kOk);
  EXPECT_EQ(driver_->map(2, page(3), page(3) + 0xfff, 0), guest::kNoMem) << "of the domain";
  ASSERT_EQ(driver_->map(4, page(0), page(0) + 0xfff, 0), guest::kOk);
  EXPECT_EQ(driver_->map(4, page(1), page(1) + 0xfff, 0), guest::kNoMem) << "of all domains";
  ASSERT_EQ(driver_->unmap(2, 0, ~0ULL), guest::kOk);
  EXPECT_EQ(driver_->map(4, page(1), page(1) + 0xfff, 0), guest::kOk);
}

class DomainLimitTest : public ViommuTest {
 protected:
  DomainLimitTest() : ViommuTest({.limits = {.domains = 2}}) {}
};

TEST_F(DomainLimitTest, ARefusedAttachLeavesTheEndpointWhereItWas) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->attach(2, kDisk), guest::kOk);
  ASSERT_EQ(driver_->attach(2, kNet), guest::kOk);
  ASSERT_EQ(driver_->map(2, 0x1000, 0x1fff, 0x8000), guest::kOk);
  EXPECT_EQ(driver_->attach(3, kNet), guest::kNoMem);
  EXPECT_EQ(lands(kNet, 0x1000), 0x8000U);
}

}  // namespace
}  // namespace weir::virtio_iommu::test
