// SPDX-License-Identifier: Apache-2.0
//
// The walker against tables that Linux drivers built and that another program walked: every leaf it
// listed comes out with the same address, size, level and entry.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "pagetables/amd_v1.h"
#include "pagetables/vtd_second_stage.h"
#include "pagetables/x86_first_stage.h"
#include "replay/byte_source.h"
#include "replay/table_dump.h"
#include "tests/replay/trace_files.h"

namespace weir::replay {
namespace {

namespace pt = pagetables;

class DumpReader {
 public:
  using Space = Gpa;

  explicit DumpReader(std::span<const TablePage> pages) {
    for (const TablePage& page : pages) pages_[page.gpa.value()] = page.bytes.data();
  }
  Result<std::uint64_t, pt::WalkFailure> load(Gpa at) {
    const auto page = pages_.find(at.page_base(kPageLg2).value());
    if (page == pages_.end())
      return Failure{pt::WalkFailure{.reason = FaultReason::kTableUnreadable}};
    std::uint64_t word = 0;
    std::memcpy(&word, page->second + at.page_offset(kPageLg2), sizeof word);
    return word;
  }
  // A dump is not written to.
  Result<bool, pt::WalkFailure> update(Gpa, std::uint64_t, std::uint64_t) {
    return Failure{pt::WalkFailure{.reason = FaultReason::kUpdateFailed}};
  }
  std::uint32_t take_references() { return 0; }

 private:
  std::unordered_map<std::uint64_t, const std::byte*> pages_;
};

struct Root {
  Gpa table;
  unsigned levels = 0;
};

std::string unpacked(const std::string& path) {
  auto source = ByteSource::open(path);
  EXPECT_TRUE(source.ok());
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const auto count = source->read(buffer);
    EXPECT_TRUE(count.ok());
    if (!count || *count == 0) return text;
    text.append(buffer.data(), *count);
  }
}

// By requester, as the capture wrote it down ("00:02.0").
std::unordered_map<Requester, Root> roots_of(const std::string& run) {
  std::unordered_map<Requester, Root> roots;
  const auto json = nlohmann::json::parse(unpacked(capture(run + "/tables.json.xz")));
  for (const auto& device : json.at("devices")) {
    if (!device.contains("root") || !device.contains("levels")) continue;
    const auto bdf = device.at("bdf").get<std::string>();
    const auto number = [&bdf](std::size_t at, std::size_t size) {
      return static_cast<unsigned>(std::stoul(bdf.substr(at, size), nullptr, 16));
    };
    roots[Requester::from_bdf(number(0, 2), number(3, 2), number(6, 1))] = {
        Gpa(std::stoull(device.at("root").get<std::string>(), nullptr, 16)),
        device.at("levels").get<unsigned>()};
  }
  return roots;
}

template <typename Format>
pt::WalkResult<Gpa> walk_at(DumpReader& reader, const Root& root, std::uint64_t input,
                            Access access) {
  typename Format::Capabilities capabilities;
  // The emulated unit of the captures has none for these formats, or its marks are made already.
  capabilities.accessed_dirty = false;
  return pt::walk<Format>(Format::rules(capabilities), reader, root.table, root.levels, input,
                          {.access = access});
}

pt::WalkResult<Gpa> walk_leaf(LeafKind kind, DumpReader& reader, const Root& root,
                              std::uint64_t input, Access access) {
  switch (kind) {
    case LeafKind::kSecondStage:
      return walk_at<pt::VtdSecondStage>(reader, root, input, access);
    case LeafKind::kFirstStage:
      return walk_at<pt::X86FirstStage>(reader, root, input, access);
    case LeafKind::kAmdV1:
      return walk_at<pt::AmdV1>(reader, root, input, access);
  }
  return Failure{pt::WalkFailure{}};
}

class WalkedCapture : public testing::TestWithParam<const char*> {};

TEST_P(WalkedCapture, EveryLeaf) {
  const std::string run = GetParam();
  const auto pages = read_tables(capture(run + "/tables.bin.xz"));
  const auto leaves = read_walk(capture(run + "/walk.tsv.xz"));
  ASSERT_TRUE(pages.ok() && leaves.ok());
  const auto roots = roots_of(run);
  DumpReader reader(*pages);
  ASSERT_FALSE(leaves->empty());
  std::size_t encoded_sizes = 0;
  for (const WalkLeaf& leaf : *leaves) {
    SCOPED_TRACE(testing::Message() << std::hex << "requester " << leaf.requester.bdf << ", iova "
                                    << leaf.iova.value());
    const auto root = roots.find(leaf.requester);
    ASSERT_NE(root, roots.end());
    const auto first = walk_leaf(leaf.kind, reader, root->second, leaf.iova.value(), Access::kRead);
    // What a driver maps for the device to write alone cannot be read.
    const bool readable = first.ok();
    const auto walked =
        readable ? first
                 : walk_leaf(leaf.kind, reader, root->second, leaf.iova.value(), Access::kWrite);
    ASSERT_TRUE(walked.ok()) << to_string(walked.error().reason);
    ASSERT_EQ(walked->translate(leaf.iova.value()), leaf.gpa);
    ASSERT_EQ(std::uint64_t{1} << walked->page_lg2, leaf.size);
    ASSERT_EQ(walked->level, leaf.level);
    ASSERT_EQ(walked->entry, leaf.entry);
    // Its last byte is on the same page.
    const std::uint64_t last = leaf.iova.value() + (leaf.size - 1);
    const auto end =
        walk_leaf(leaf.kind, reader, root->second, last, readable ? Access::kRead : Access::kWrite);
    ASSERT_TRUE(end.ok());
    ASSERT_EQ(end->translate(last), leaf.gpa + (leaf.size - 1));
    encoded_sizes += leaf.kind == LeafKind::kAmdV1 && (leaf.entry & 0xe00) == 0xe00;
  }
  EXPECT_EQ(encoded_sizes, run.starts_with("amd") ? 142U : 0U);
}

INSTANTIATE_TEST_SUITE_P(Runs, WalkedCapture,
                         testing::Values("vtd_leg_lazy_612", "vtd_leg_vfio_612",
                                         "vtd_bypass_pxb_612", "vtd_sm_fs_lazy_612",
                                         "amd_lazyreq_612"),
                         [](const auto& run) { return std::string(run.param); });

}  // namespace
}  // namespace weir::replay
