// SPDX-License-Identifier: Apache-2.0
//
// A DMAR table as values, field by field and in the order of its bytes (manual chapter 8): what
// dmar_parse.cpp reads and dmar_build.cpp writes, without loss. Lengths and the checksum are worked
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

#include "iommu/coverage.h"
#include "vendors/common/acpi/header.h"
#include "vendors/vtd/dmar_layout.h"

namespace weir::vtd::dmar {

struct Scope {
  std::size_t offset = 0;
  std::uint8_t type = scope::kEndpoint;
  std::uint8_t flags = 0;
  std::uint8_t reserved = 0;
  std::uint8_t enumeration = 0;
  std::uint8_t start_bus = 0;
  std::vector<PathStep> path{};
};

struct Drhd {
  std::size_t offset = 0;
  std::uint8_t flags = 0;
  std::uint8_t size = 0;
  std::uint16_t segment = 0;
  std::uint64_t base = 0;
  std::vector<Scope> scopes{};
};

struct Rmrr {
  std::size_t offset = 0;
  std::uint16_t reserved = 0;
  std::uint16_t segment = 0;
  std::uint64_t base = 0;
  std::uint64_t limit = 0;  // last byte
  std::vector<Scope> scopes{};
};

struct Atsr {
  std::size_t offset = 0;
  std::uint8_t flags = 0;
  std::uint8_t reserved = 0;
  std::uint16_t segment = 0;
  std::vector<Scope> scopes{};
};

struct Rhsa {
  std::size_t offset = 0;
  std::uint32_t reserved = 0;
  std::uint64_t base = 0;
  std::uint32_t proximity = 0;
  std::vector<std::byte> rest{};
};

struct Andd {
  std::size_t offset = 0;
  std::array<std::byte, 3> reserved{};
  std::uint8_t number = 0;
  std::string name{};
  std::vector<std::byte> rest{std::byte{0}};  // the zero byte that ends the name, and padding
};

struct Satc {
  std::size_t offset = 0;
  std::uint8_t flags = 0;
  std::uint8_t reserved = 0;
  std::uint16_t segment = 0;
  std::vector<Scope> scopes{};
};

struct Sidp {
  std::size_t offset = 0;
  std::uint16_t reserved = 0;
  std::uint16_t segment = 0;
  std::vector<Scope> scopes{};
};

// Of a type to come: stepped over, and kept.
struct Unknown {
  std::size_t offset = 0;
  std::uint16_t type = 0;
  std::vector<std::byte> rest{};
};

using Structure = std::variant<Drhd, Rmrr, Atsr, Rhsa, Andd, Satc, Sidp, Unknown>;

struct Table {
  acpi::Header header = acpi::header_for("DMAR", 1);
  std::uint8_t host_address_width = 0;  // bits - 1, of the machine and not of the IOVA space
  std::uint8_t flags = 0;
  std::array<std::byte, 10> reserved{};
  std::vector<Structure> structures{};
};

}  // namespace weir::vtd::dmar
