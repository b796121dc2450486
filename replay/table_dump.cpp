// SPDX-License-Identifier: Apache-2.0
#include "replay/table_dump.h"

#include <bit>
#include <cstring>
#include <span>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "replay/byte_source.h"
#include "replay/field_scan.h"
#include "replay/line_reader.h"

namespace weir::replay {
namespace {

static_assert(std::endian::native == std::endian::little, "the dump's numbers are copied as bytes");

constexpr std::string_view kMagic = "IOPTDMP1";
constexpr std::uint64_t kMaxPages = (std::uint64_t{256} << 20) / kPageSize;

// As many bytes as there are, up to out.size().
Result<std::size_t, std::string> read_up_to(ByteSource& source, std::span<char> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const auto got = source.read(out.subspan(done));
    if (!got) {
      return Failure{got.error()};
    }
    if (*got == 0) {
      break;
    }
    done += *got;
  }
  return done;
}

template <typename T>
std::span<char> bytes_of(T& object) {
  return {reinterpret_cast<char*>(&object), sizeof(object)};
}

struct Header {
  std::array<char, kMagic.size()> magic;
  std::uint64_t count;
};
struct PageRecord {
  std::uint64_t address;
  std::array<std::byte, kPageSize> bytes;
};

template <typename T>
using FromDump = Result<T, std::string>;

FromDump<std::uint64_t> read_header(ByteSource& source) {
  Header header{};
  const auto got = read_up_to(source, bytes_of(header));
  if (!got) {
    return Failure{got.error()};
  }
  const std::string_view magic(header.magic.data(), header.magic.size());
  if (*got < kMagic.size() || magic != kMagic) {
    return Failure{"not a table dump: it does not begin with " + std::string(kMagic)};
  }
  if (*got < sizeof(header)) {
    return Failure{std::string("cut off within the page count")};
  }
  if (header.count > kMaxPages) {
    return Failure{"says it holds " + std::to_string(header.count) + " pages; at most " +
                   std::to_string(kMaxPages) + " are read"};
  }
  return header.count;
}

FromDump<std::vector<TablePage>> read_pages(ByteSource& source) {
  const auto count = read_header(source);
  if (!count) {
    return Failure{count.error()};
  }
  // The count may lie, so nothing is reserved on its word.
  std::vector<TablePage> pages;
  std::unordered_set<Gpa> seen;
  PageRecord record;
  for (std::uint64_t i = 0; i < *count; ++i) {
    const auto got = read_up_to(source, bytes_of(record));
    if (!got) {
      return Failure{"page " + std::to_string(i) + ": " + got.error()};
    }
    if (*got < sizeof(record)) {
      return Failure{"cut off within page " + std::to_string(i) + " of " + std::to_string(*count)};
    }
    if (record.address % kPageSize != 0) {
      return Failure{"page " + std::to_string(i) + ": its address is not page-aligned"};
    }
    if (!seen.insert(Gpa(record.address)).second) {
      return Failure{"page " + std::to_string(i) + ": an earlier page has the same address"};
    }
    pages.push_back({Gpa(record.address), record.bytes});
  }
  char extra = 0;
  const auto got = read_up_to(source, bytes_of(extra));
  if (!got) {
    return Failure{"behind the last page: " + got.error()};
  }
  if (*got != 0) {
    return Failure{"holds more than the " + std::to_string(*count) + " pages it says"};
  }
  return pages;
}

// Enough for 4 GiB of 4 KiB pages; a small xz file can unpack to far more rows than memory holds.
constexpr std::size_t kMaxLeaves = std::size_t{1} << 20;
constexpr std::string_view kWalkHeader =
    "#bdf\tdid\tkind\tiova\tsize\tgpa\tlevel\tpte\tqemu_last_gpa\tcheck";

WalkLeaf parse_leaf(FieldScan& s) {
  WalkLeaf leaf;
  std::string_view kind;
  std::string_view check;
  std::uint64_t iova = 0;
  std::uint64_t gpa = 0;
  s.bdf(leaf.requester).lit("\t").dec(leaf.domain.value).lit("\t").word(kind, '\t');
  leaf.kind = kind == "first-stage" ? LeafKind::kFirstStage
              : kind == "amd-v1"    ? LeafKind::kAmdV1
                                    : LeafKind::kSecondStage;
  s.check(leaf.kind != LeafKind::kSecondStage || kind == "second-stage",
          "second-stage, first-stage or amd-v1 before this");
  s.lit("\t").hex(iova).lit("\t").hex(leaf.size);
  s.check(std::has_single_bit(leaf.size) && leaf.size >= kPageSize, "a page size before this");
  s.lit("\t").hex(gpa).lit("\t").dec(leaf.level).lit("\t").hex(leaf.entry).lit("\t");
  leaf.iova = Iova(iova);
  leaf.gpa = Gpa(gpa);
  if (s.peek("-")) {
    s.lit("-");
  } else {
    std::uint64_t last = 0;
    s.hex(last);
    leaf.qemu_last_gpa = Gpa(last);
  }
  s.lit("\t").word(check, '\t').end();
  leaf.check = check == "match"       ? LeafCheck::kMatch
               : check == "stale-log" ? LeafCheck::kStaleLog
                                      : LeafCheck::kNeverAccessed;
  s.check(leaf.check != LeafCheck::kNeverAccessed || check == "-",
          "match, stale-log or - before this");
  return leaf;
}

}  // namespace

Result<std::vector<TablePage>, TraceError> read_tables(const std::string& path) {
  auto source = ByteSource::open(path);
  if (!source) {
    return failure(path, 0, std::move(source.error()));
  }
  auto pages = read_pages(*source);
  if (!pages) {
    return failure(path, 0, std::move(pages.error()));
  }
  return std::move(*pages);
}

Result<std::vector<WalkLeaf>, TraceError> read_walk(const std::string& path) {
  auto lines = LineReader::open(path);
  if (!lines) {
    return Failure{std::move(lines.error())};
  }
  std::vector<WalkLeaf> leaves;
  for (;;) {
    const auto got = lines->next();
    if (!got) {
      return Failure{got.error()};
    }
    const std::optional<std::string_view> line = *got;
    if (!line) {
      break;
    }
    if (lines->line_number() == 1) {
      if (*line != kWalkHeader) {
        return lines->failure_here("not a list of leaves: its header line is " + in_quotes(*line));
      }
      continue;
    }
    if (leaves.size() == kMaxLeaves) {
      return lines->failure_here("more than " + std::to_string(kMaxLeaves) + " leaves");
    }
    FieldScan scan(*line, 0);
    leaves.push_back(parse_leaf(scan));
    if (!scan.ok()) {
      return lines->failure_here(scan.cause());
    }
  }
  if (lines->line_number() == 0) {
    return failure(path, 0, "file is empty");
  }
  return leaves;
}

}  // namespace weir::replay
