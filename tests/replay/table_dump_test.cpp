// SPDX-License-Identifier: Apache-2.0
#include "replay/table_dump.h"

#include <cstring>

#include "tests/replay/trace_files.h"

namespace weir::replay {
namespace {

std::string u64(std::uint64_t value) {
  std::string out(8, '\0');
  std::memcpy(out.data(), &value, 8);
  return out;
}
std::string page(std::uint64_t address, char fill) {
  return u64(address) + std::string(kPageSize, fill);
}

void expect_bad_tables(std::string_view bytes, std::string_view cause) {
  const ScratchFile file(bytes);
  const auto pages = read_tables(file.path());
  ASSERT_FALSE(pages.ok()) << cause;
  EXPECT_EQ(pages.error().line, 0u);
  EXPECT_NE(pages.error().cause.find(cause), std::string::npos) << pages.error().to_string();
}

TEST(TableDump, PagesPlainAndPacked) {
  const std::string dump = "IOPTDMP1" + u64(2) + page(0x3000, 'a') + page(0x1000, 'b');
  for (const std::string& bytes : {dump, xz(dump)}) {
    const ScratchFile file(bytes);
    const auto pages = read_tables(file.path());
    ASSERT_TRUE(pages.ok()) << pages.error().to_string();
    ASSERT_EQ(pages->size(), 2u);
    EXPECT_EQ((*pages)[0].gpa, Gpa(0x3000));
    EXPECT_EQ((*pages)[1].gpa, Gpa(0x1000));
    EXPECT_EQ((*pages)[1].bytes.front(), std::byte{'b'});
    EXPECT_EQ((*pages)[1].bytes.back(), std::byte{'b'});
  }
}

TEST(TableDump, BadDumps) {
  const std::string good = "IOPTDMP1" + u64(2) + page(0x3000, 'a') + page(0x1000, 'b');
  expect_bad_tables("", "does not begin with IOPTDMP1");
  expect_bad_tables("IOPT", "does not begin with IOPTDMP1");
  expect_bad_tables("IOPTDMP2" + good.substr(8), "does not begin with IOPTDMP1");
  expect_bad_tables(std::string(100000, '\0'), "does not begin with IOPTDMP1");
  expect_bad_tables(good.substr(0, 12), "cut off within the page count");
  expect_bad_tables(good.substr(0, 16), "cut off within page 0 of 2");
  expect_bad_tables(good.substr(0, good.size() - 1), "cut off within page 1 of 2");
  expect_bad_tables(good + "x", "more than the 2 pages it says");
  expect_bad_tables("IOPTDMP1" + u64(~std::uint64_t{0}) + page(0, 'a'), "at most 65536");
  expect_bad_tables("IOPTDMP1" + u64(65536) + page(0, 'a'), "cut off within page 1 of 65536");
  expect_bad_tables("IOPTDMP1" + u64(1) + page(0x1001, 'a'), "not page-aligned");
  expect_bad_tables("IOPTDMP1" + u64(2) + page(0x1000, 'a') + page(0x1000, 'b'), "same address");
  const std::string packed = xz(good);
  expect_bad_tables(packed.substr(0, packed.size() - 20), "truncated");
  const auto folder = read_tables(testing::TempDir());
  ASSERT_FALSE(folder.ok());
  EXPECT_NE(folder.error().cause.find("Is a directory"), std::string::npos);
}

constexpr std::string_view kHeader =
    "#bdf\tdid\tkind\tiova\tsize\tgpa\tlevel\tpte\tqemu_last_gpa\tcheck\n";

TEST(WalkList, Rows) {
  const ScratchFile file(
      std::string(kHeader) +
      "00:1f.2\t9\tsecond-stage\t0xfffb5000\t0x1000\t0x87fb000\t1\t0x87fb003\t0x87fb000\tmatch\n"
      "20:02.0\t3\tfirst-stage\t0x40000000\t0x40000000\t0x80000000\t3\t0x80000083\t-\t-\n");
  const auto leaves = read_walk(file.path());
  ASSERT_TRUE(leaves.ok()) << leaves.error().to_string();
  ASSERT_EQ(leaves->size(), 2u);
  const WalkLeaf& first = (*leaves)[0];
  EXPECT_EQ(first.requester, Requester::from_sid(0xfa));
  EXPECT_EQ(first.domain, DomainId{9});
  EXPECT_EQ(first.kind, LeafKind::kSecondStage);
  EXPECT_EQ(first.iova, Iova(0xfffb5000));
  EXPECT_EQ(first.size, 0x1000u);
  EXPECT_EQ(first.gpa, Gpa(0x87fb000));
  EXPECT_EQ(first.level, 1u);
  EXPECT_EQ(first.entry, 0x87fb003u);
  EXPECT_EQ(first.qemu_last_gpa, Gpa(0x87fb000));
  EXPECT_EQ(first.check, LeafCheck::kMatch);
  EXPECT_EQ((*leaves)[1].requester, Requester::from_sid(0x2010));
  EXPECT_EQ((*leaves)[1].kind, LeafKind::kFirstStage);
  EXPECT_FALSE((*leaves)[1].qemu_last_gpa.has_value());
}

TEST(WalkList, BadRows) {
  const std::string start = "00:02.0\t3\tsecond-stage\t0x1000\t";
  for (const auto& [row, cause] : {
           std::pair{std::string("00:02.0"), "found the end"},
           std::pair{std::string("00:02.0\t3\tthird-stage\t0x0\t0x1000\t0x0\t1\t0x3\t-\t-"),
                     "second-stage, first-stage or amd-v1"},
           std::pair{start + "0x1800\t0x0\t1\t0x3\t-\t-", "a page size"},
           std::pair{start + "0x0\t0x0\t1\t0x3\t-\t-", "a page size"},
           std::pair{start + "0x1000\t0x0\t1\t0x3\t-\tmaybe", "match, stale-log or -"},
           std::pair{start + "0x1000\t0x0\t1\t0x3\t-\t-\textra", "the end of the line"},
           std::pair{start + "0x1000\tx\t1\t0x3\t-\t-", "a hexadecimal number"},
       }) {
    const ScratchFile file(std::string(kHeader) + row + "\n");
    const auto leaves = read_walk(file.path());
    ASSERT_FALSE(leaves.ok()) << row;
    EXPECT_EQ(leaves.error().line, 2u);
    EXPECT_NE(leaves.error().cause.find(cause), std::string::npos) << leaves.error().to_string();
  }
  std::string many(kHeader);
  for (std::size_t i = 0; i <= std::size_t{1} << 20; ++i) {
    many += start + "0x1000\t0x0\t1\t0x3\t-\t-\n";
  }
  const ScratchFile bomb(xz(many));
  EXPECT_EQ(read_walk(bomb.path()).error().cause, "more than 1048576 leaves");
  const ScratchFile other("bdf,did\n");
  EXPECT_NE(read_walk(other.path()).error().cause.find("not a list of leaves"), std::string::npos);
  const ScratchFile empty("");
  EXPECT_EQ(read_walk(empty.path()).error().cause, "file is empty");
}

}  // namespace
}  // namespace weir::replay
