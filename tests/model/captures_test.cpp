// SPDX-License-Identifier: Apache-2.0
//
// The oracle against tables that Linux wrote and leaves that another program found in them
// (tests/data/traces): each leaf's first and last byte, page size, level and rights.

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>

#include "replay/table_dump.h"
#include "tests/model/sparse_image.h"
#include "tests/model/translate.h"

namespace weir::model {
namespace {

// A run, and the root of each domain that has leaves, from its tables.json.
struct Capture {
  std::string run;
  Format format;
  std::map<std::uint32_t, std::uint64_t> roots;
  std::size_t leaves = 0;
  std::uint64_t read_bit = 0;
  std::uint64_t write_bit = 0;
};

// Host width from each run's CAP (MGAW 48); the model's other defaults are what the units had.
std::vector<Capture> captures() {
  const VtdSecondStage ss{.levels = 4, .guest_width = 48, .host_width = 48};
  const X86FirstStage fs{.levels = 4, .host_width = 48};
  return {
      {"vtd_bypass_pxb_612",
       ss,
       {{3, 0x7906000}, {4, 0x790c000}, {5, 0x7912000}, {6, 0x7918000}, {10, 0x7931000}},
       13331,
       0x1,
       0x2},
      {"vtd_leg_lazy_612",
       ss,
       {{3, 0x7afa000}, {4, 0x7b00000}, {5, 0x7b05000}, {6, 0x7b0f000}, {9, 0x7b1f000}},
       13394,
       0x1,
       0x2},
      {"vtd_leg_vfio_612",
       ss,
       {{3, 0x146fd9000}, {4, 0x1435b8000}, {5, 0x146d92000}, {6, 0x146d96000}, {9, 0x146da1000}},
       14592,
       0x1,
       0x2},
      {"vtd_sm_fs_lazy_612",
       fs,
       {{3, 0x7b05000}, {4, 0x7b0c000}, {5, 0x7b12000}, {6, 0x7b1d000}, {9, 0x7b30000}},
       13394,
       0x1,
       0x2},
      {"amd_lazyreq_612",
       AmdV1{.mode = 3},
       {{2, 0x72fd000}, {3, 0x7300000}, {4, 0x7303000}, {5, 0x791e000}, {8, 0x7928000}},
       660,
       std::uint64_t{1} << 61,
       std::uint64_t{1} << 62},
  };
}

SparseImage image_of(const std::vector<replay::TablePage>& pages) {
  SparseImage image;
  for (const replay::TablePage& page : pages) {
    for (std::uint64_t n = 0; n < 512; ++n) {
      std::uint64_t word = 0;
      std::memcpy(&word, page.bytes.data() + 8 * n, 8);
      image.put(page.gpa.value() + 8 * n, word);
    }
  }
  return image;
}

class Captures : public testing::TestWithParam<Capture> {};

TEST_P(Captures, EveryLeafIsFound) {
  const Capture& capture = GetParam();
  const std::string folder = std::string(WEIR_TEST_DATA) + "/traces/" + capture.run;
  const auto pages = replay::read_tables(folder + "/tables.bin.xz");
  ASSERT_TRUE(pages.ok()) << pages.error().to_string();
  const auto leaves = replay::read_walk(folder + "/walk.tsv.xz");
  ASSERT_TRUE(leaves.ok()) << leaves.error().to_string();
  EXPECT_EQ(leaves->size(), capture.leaves) << capture.run;
  const SparseImage image = image_of(*pages);

  for (const replay::WalkLeaf& leaf : *leaves) {
    const auto root = capture.roots.find(leaf.domain.value);
    ASSERT_NE(root, capture.roots.end()) << leaf.domain.value;
    Format format = capture.format;
    std::visit([&](auto& f) { f.root = root->second; }, format);

    for (const std::uint64_t offset : {std::uint64_t{0}, leaf.size - 1}) {
      const std::uint64_t iova = leaf.iova.value() + offset;
      // Linux grants everything on the tables above, so the leaf's rights are the page's.
      const bool readable = (leaf.entry & capture.read_bit) != 0;
      const bool writable = (leaf.entry & capture.write_bit) != 0;
      const Verdict read = translate(format, {.input = iova, .read = true}, image, Stage::kStage1);
      const Verdict write =
          translate(format, {.input = iova, .write = true}, image, Stage::kStage1);
      ASSERT_TRUE(readable || writable);
      ASSERT_EQ(read.ok, readable) << std::hex << iova << ": " << to_string(read.reason);
      ASSERT_EQ(write.ok, writable) << std::hex << iova << ": " << to_string(write.reason);
      for (const Verdict* v : {&read, &write}) {
        if (v->ok) {
          ASSERT_EQ(v->output, leaf.gpa.value() + offset) << std::hex << iova;
          ASSERT_EQ(std::uint64_t{1} << v->page_lg2, leaf.size) << std::hex << iova;
          ASSERT_EQ(v->readable, readable) << std::hex << iova;
          ASSERT_EQ(v->writable, writable) << std::hex << iova;
        } else {
          ASSERT_EQ(v->reason,
                    v == &read ? FaultReason::kNoReadPermission : FaultReason::kNoWritePermission);
          ASSERT_EQ(v->level, leaf.level);
          ASSERT_EQ(image.load(v->entry_at), leaf.entry);
        }
        ASSERT_EQ(v->references, levels_of(format) - leaf.level + 1) << std::hex << iova;
      }
    }
  }
}

// The page before a leaf is another leaf or faults as an empty entry does.
TEST_P(Captures, BesideTheLeavesNothingIsFound) {
  const Capture& capture = GetParam();
  const std::string folder = std::string(WEIR_TEST_DATA) + "/traces/" + capture.run;
  const auto pages = replay::read_tables(folder + "/tables.bin.xz");
  const auto leaves = replay::read_walk(folder + "/walk.tsv.xz");
  ASSERT_TRUE(pages.ok() && leaves.ok());
  const SparseImage image = image_of(*pages);
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::uint64_t> last_bytes;
  for (const replay::WalkLeaf& leaf : *leaves)
    last_bytes[{leaf.domain.value, leaf.iova.value() + leaf.size - 1}] = leaf.size;

  std::size_t holes = 0;
  for (const replay::WalkLeaf& leaf : *leaves) {
    const std::uint64_t before = leaf.iova.value() - 1;
    if (leaf.iova.value() == 0 || last_bytes.contains({leaf.domain.value, before})) continue;
    ++holes;
    Format format = capture.format;
    std::visit([&](auto& f) { f.root = capture.roots.at(leaf.domain.value); }, format);
    const Verdict v = translate(format, {.input = before, .read = true}, image, Stage::kStage1);
    ASSERT_FALSE(v.ok) << std::hex << before;
    const bool ss = std::holds_alternative<VtdSecondStage>(format);
    ASSERT_EQ(v.reason, ss ? FaultReason::kNoReadPermission : FaultReason::kNotPresent);
    ASSERT_EQ(image.load(v.entry_at).value_or(1) & 1, 0U);
  }
  EXPECT_GT(holes, 0U);
}

INSTANTIATE_TEST_SUITE_P(Runs, Captures, testing::ValuesIn(captures()),
                         [](const auto& capture) { return capture.param.run; });

}  // namespace
}  // namespace weir::model
