// SPDX-License-Identifier: Apache-2.0
//
// Answers to the byte: whatever the granule, cached or not, a byte translates if and only if it
// lies in a mapping, and to where the mapping says (virtio 1.4, 5.13.6.5: PA = VA - virt_start +
// phys_start). Held against a list that is searched from end to end.
#include <algorithm>
#include <random>

#include "tests/virtio_iommu/fixture.h"
#include "vendors/virtio_iommu/translate.h"

namespace weir::virtio_iommu::test {
namespace {

struct Listed {
  std::uint64_t first, last, output;
};

[[nodiscard]] std::optional<std::uint64_t> look_up(const std::vector<Listed>& all,
                                                   std::uint64_t at) {
  for (const Listed& one : all)
    if (one.first <= at && at <= one.last) return one.output + (at - one.first);
  return std::nullopt;
}

class ExactnessTest : public ViommuTest, public testing::WithParamInterface<std::uint64_t> {
 protected:
  ExactnessTest() : ViommuTest({.page_size_mask = ~(GetParam() - 1)}) {
    EXPECT_EQ(driver_->attach(1, kNvme), guest::kOk);
  }
};

INSTANTIATE_TEST_SUITE_P(Granules, ExactnessTest,
                         testing::Values(std::uint64_t{1}, std::uint64_t{16}, std::uint64_t{4096},
                                         std::uint64_t{65536}));

TEST_P(ExactnessTest, RandomMappingsAgainstAList) {
  const std::uint64_t granule = GetParam();
  const std::uint64_t space = std::max<std::uint64_t>(granule * 64, 0x20000);
  std::mt19937_64 random(42 + granule);
  const auto units = [&](std::uint64_t below) { return random() % below; };
  std::vector<Listed> listed;
  for (int step = 0; step < 400; ++step) {
    const std::uint64_t first = units(space / granule) * granule;
    const std::uint64_t last =
        first + (1 + units(step % 5 == 0 ? space / granule / 8 + 1 : 3)) * granule - 1;
    if (step % 3 != 2) {
      const std::uint64_t output = units(0x800000 / granule) * granule;
      const bool free = std::ranges::none_of(
          listed, [&](const Listed& one) { return one.first <= last && first <= one.last; });
      ASSERT_EQ(driver_->map(1, first, last, output), free ? guest::kOk : guest::kInval);
      if (free) listed.push_back({first, last, output});
    } else {
      const bool split = std::ranges::any_of(listed, [&](const Listed& one) {
        const bool touched = one.first <= last && first <= one.last;
        return touched && (one.first < first || one.last > last);
      });
      ASSERT_EQ(driver_->unmap(1, first, last), split ? guest::kRange : guest::kOk);
      if (!split)
        std::erase_if(listed,
                      [&](const Listed& one) { return first <= one.first && one.last <= last; });
    }
    // The ends of what is mapped, and the bytes around them; twice, for the cache.
    for (const Listed& one : listed)
      for (const std::uint64_t at : {one.first - 1, one.first, one.last, one.last + 1})
        for (int again = 0; again < 2; ++again)
          ASSERT_EQ(lands(kNvme, at), look_up(listed, at)) << std::hex << at;
    for (int probe = 0; probe < 8; ++probe) {
      const std::uint64_t at = units(space);
      ASSERT_EQ(lands(kNvme, at), look_up(listed, at)) << std::hex << at;
    }
  }
}

TEST_P(ExactnessTest, ATransferLandsByteForByte) {
  const std::uint64_t granule = GetParam();
  ASSERT_EQ(driver_->map(1, granule, 2 * granule - 1, 3 * granule), guest::kOk);
  ASSERT_EQ(driver_->map(1, 2 * granule, 4 * granule - 1, 0), guest::kOk);
  std::vector<std::byte> bytes(3 * granule);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
  ASSERT_TRUE(port(kNvme).write(Iova(granule), bytes));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::size_t at = i < granule ? 3 * granule + i : i - granule;
    ASSERT_EQ(ram()[at], bytes[i]) << i;
  }
  bytes.push_back({});
  const auto beyond = port(kNvme).write(Iova(granule), bytes);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().completed, 3 * granule) << "all that was mapped has landed";
}

TEST(BlockTest, IsTheLargestCachedSizeInsideTheMapping) {
  const auto lg2 = [](std::uint64_t first, std::uint64_t last, std::uint64_t output,
                      std::uint64_t at) {
    return unsigned{block_lg2({.range = {Iova(first), Iova(last)},
                               .output = Gpa(output),
                               .permissions = Permissions::read_write()},
                              Iova(at))};
  };
  EXPECT_EQ(lg2(0, ~0ULL, 0, 0x123456789), 30U);
  EXPECT_EQ(lg2(0x40000000, 0x7fffffff, 0x1000, 0x40000000), 30U) << "the output may be anywhere";
  EXPECT_EQ(lg2(0x40000000, 0x7ffffffe, 0, 0x40000000), 21U);
  EXPECT_EQ(lg2(0x40000000, 0x7ffffffe, 0, 0x7ffff000), 11U) << "the last page is not whole";
  EXPECT_EQ(lg2(0x200000, 0x3fffff, 0, 0x3fffff), 21U);
  EXPECT_EQ(lg2(0x201000, 0x3fffff, 0, 0x210000), 16U);
  EXPECT_EQ(lg2(0x201000, 0x3fffff, 0, 0x201000), 12U);
  EXPECT_EQ(lg2(0x1000, 0x1fff, 0x800, 0x1000), 11U) << "half a page off: no entry can say it";
  EXPECT_EQ(lg2(0x1001, 0x1fff, 0, 0x1001), 0U);
  EXPECT_EQ(lg2(0x1001, 0x1fff, 0, 0x1002), 1U);
  EXPECT_EQ(lg2(5, 5, 5, 5), 0U);
  EXPECT_EQ(lg2(~0ULL - 0xfff, ~0ULL, 0, ~0ULL), 12U);
}

}  // namespace
}  // namespace weir::virtio_iommu::test
