// SPDX-License-Identifier: Apache-2.0
#include "iotlb/device_tlb.h"

#include <gtest/gtest.h>

namespace weir::iotlb {
namespace {

class DeviceTlbTest : public testing::Test {
 protected:
  void fill(DeviceTlb::Asker asker, std::uint64_t page, std::uint64_t output,
            std::uint8_t lg2 = 12) {
    EXPECT_NE(tlb.fill(tlb.begin_fill(asker), asker, Iova(page), lg2, Gpa(output),
                       Permissions::read_write()),
              FillResult::kRefused);
  }
  [[nodiscard]] std::uint64_t at(DeviceTlb::Asker asker, std::uint64_t iova) {
    const auto hit = tlb.lookup(asker, Iova(iova));
    return hit ? hit->output : 0;
  }

  DeviceTlb tlb{64};
  const DeviceTlb::Asker plain{};
  const DeviceTlb::Asker seven{.pasid = Pasid{7}};
  const DeviceTlb::Asker seven_privileged{.pasid = Pasid{7}, .privileged = true};
};

TEST_F(DeviceTlbTest, KeepsAskersApart) {
  fill(plain, 0x5000, 0x10000);
  fill(seven, 0x5000, 0x20000);
  fill(seven_privileged, 0x5000, 0x30000);
  EXPECT_EQ(at(plain, 0x5008), 0x10008u);
  EXPECT_EQ(at(seven, 0x5008), 0x20008u);
  EXPECT_EQ(at(seven_privileged, 0x5008), 0x30008u);
  EXPECT_EQ(at({.pasid = Pasid{8}}, 0x5008), 0u);
}

// PCIe 10.3: without a PASID it means those without one, with one that PASID alone, globally all.
TEST_F(DeviceTlbTest, InvalidationsMeanTheirPasid) {
  const AddressRange<Iova> page{Iova(0x5000), Iova(0x5fff)};
  const auto all = [&] {
    fill(plain, 0x5000, 0x10000);
    fill(seven, 0x5000, 0x20000);
    fill(seven_privileged, 0x5000, 0x30000);
    fill(plain, 0x200000, 0x400000, 21);
  };
  all();
  EXPECT_EQ(tlb.invalidate(std::nullopt, false, page), 1u);
  EXPECT_EQ(at(plain, 0x5000), 0u);
  EXPECT_EQ(at(seven, 0x5000), 0x20000u);
  all();
  EXPECT_EQ(tlb.invalidate(Pasid{7}, false, page), 2u);
  EXPECT_EQ(at(plain, 0x5000), 0x10000u);
  EXPECT_EQ(at(seven, 0x5000), 0u);
  EXPECT_EQ(at(seven_privileged, 0x5000), 0u);
  all();
  EXPECT_EQ(tlb.invalidate(std::nullopt, true, page), 3u);
  EXPECT_EQ(at(plain, 0x200000), 0x400000u) << "outside the range";
  EXPECT_EQ(tlb.invalidate(std::nullopt, false, {Iova(0x3ff000), Iova(0x3fffff)}), 1u);
  EXPECT_EQ(tlb.size(), 0u);
}

// L2: an answer that was asked for before its invalidation is not kept.
TEST_F(DeviceTlbTest, AnAnswerThatWasOvertakenIsNotKept) {
  for (const auto& asker : {plain, seven, seven_privileged}) {
    const FillTicket ticket = tlb.begin_fill(asker);
    (void)tlb.invalidate(asker.pasid, false, {Iova(0x5000), Iova(0x5fff)});
    EXPECT_EQ(tlb.fill(ticket, asker, Iova(0x5000), 12, Gpa(0x10000), Permissions::read_write()),
              FillResult::kRefused);
    EXPECT_EQ(at(asker, 0x5000), 0u);
  }
}

}  // namespace
}  // namespace weir::iotlb
