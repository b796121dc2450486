// SPDX-License-Identifier: Apache-2.0
//
// An IVRS table as values, field by field and in the order of its bytes (48882 chapter 5): what
// ivrs_parse.cpp reads and ivrs_build.cpp writes, without loss. Lengths and the checksum are worked
// out; reserved fields are kept. `offset` is where a structure lay, for messages, and is not
// written.
//
// Plain values; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "vendors/amdvi/ivrs_layout.h"
#include "vendors/common/acpi/header.h"

namespace weir::amdvi::ivrs {

// A device entry; which of the fields it has, its type says.
struct Entry {
  std::size_t offset = 0;
  std::uint8_t type = entry::kPad;
  std::uint16_t device = 0;
  std::uint8_t settings = 0;
  std::uint8_t reserved4 = 0;
  std::uint8_t reserved7 = 0;
  std::uint16_t source = 0;
  std::uint8_t handle = 0;
  std::uint8_t variety = 0;
  std::uint32_t extended = 0;
  std::array<char, 8> hid{};
  std::array<char, 8> cid{};
  std::uint8_t uid_format = 0;
  std::string uid{};
  std::vector<std::byte> rest{};  // of a name, of padding, of a type to come
};

struct Ivhd {
  std::size_t offset = 0;
  std::uint8_t type = ivhd::kType11;
  std::uint8_t flags = 0;
  std::uint16_t device = 0;
  std::uint16_t capability = 0;
  std::uint64_t base = 0;
  std::uint16_t segment = 0;
  std::uint16_t info = 0;
  std::uint32_t features10 = 0;  // of type 10h
  std::uint32_t attributes = 0;  // of the others, and so on
  std::uint64_t features = 0;    // EFR
  std::uint64_t features2 = 0;   // EFR2
  std::vector<Entry> entries{};
};

struct Ivmd {
  std::size_t offset = 0;
  std::uint8_t type = ivmd::kAll;
  std::uint8_t flags = 0;
  std::uint16_t device = 0;
  std::uint16_t last_device = 0;  // of type 22h
  std::uint16_t segment = 0;
  std::array<std::byte, 6> reserved{};
  std::uint64_t base = 0;
  std::uint64_t length = 0;
  std::vector<std::byte> rest{};
};

// Of a type to come: stepped over, and kept.
struct Unknown {
  std::size_t offset = 0;
  std::uint8_t type = 0;
  std::uint8_t flags = 0;
  std::vector<std::byte> rest{};
};

using Block = std::variant<Ivhd, Ivmd, Unknown>;

struct Table {
  acpi::Header header = acpi::header_for("IVRS", 2);
  std::uint32_t info = 0;
  std::array<std::byte, 8> reserved{};
  std::vector<Block> blocks{};
};

}  // namespace weir::amdvi::ivrs
