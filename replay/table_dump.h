// SPDX-License-Identifier: Apache-2.0
//
// The page tables of a capture as they lay in the guest's memory (tables.bin), and every leaf an
// independent walker found in them (walk.tsv); either may be xz. For one thread per call. Read into
// memory as a whole, at most 256 MiB of pages or 2^20 leaves; nothing in a page is interpreted.
//
// tables.bin: ASCII "IOPTDMP1", u64 count, then count x { u64 address, 4096 bytes }, little-endian.
// walk.tsv: a header line, then bdf, did, kind, iova, size, gpa, level, pte, qemu_last_gpa, check,
// with tabs between.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/ids.h"
#include "base/result.h"
#include "replay/trace_error.h"

namespace weir::replay {

struct TablePage {
  Gpa gpa;  // page-aligned; no two pages of a dump have the same
  std::array<std::byte, kPageSize> bytes;
};

// The error's line is 0; its cause names the byte or the page.
[[nodiscard]] Result<std::vector<TablePage>, TraceError> read_tables(const std::string& path);

enum class LeafKind : std::uint8_t { kSecondStage, kFirstStage, kAmdV1 };

// How a leaf compares with QEMU's last translation of its page before the dump.
enum class LeafCheck : std::uint8_t {
  kMatch,
  kStaleLog,  // the guest has remapped the page since
  kNeverAccessed,
};

struct WalkLeaf {
  Requester requester;
  DomainId domain;
  LeafKind kind = LeafKind::kSecondStage;
  Iova iova;
  std::uint64_t size = 0;
  Gpa gpa;
  unsigned level = 0;  // 1 is the level of 4 KiB pages
  std::uint64_t entry = 0;
  std::optional<Gpa> qemu_last_gpa;
  LeafCheck check = LeafCheck::kNeverAccessed;
};

[[nodiscard]] Result<std::vector<WalkLeaf>, TraceError> read_walk(const std::string& path);

}  // namespace weir::replay
