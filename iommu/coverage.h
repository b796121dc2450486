// SPDX-License-Identifier: Apache-2.0
//
// What a firmware table says about who is covered by which unit, in neutral words: the parse of a
// DMAR (later IVRS, VIOT, a device tree). Routes are resolved from this and from nothing else,
// because these are the bytes that the guest reads.
//
// Plain values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/ids.h"
#include "base/result.h"

namespace weir {

// Device and function on the way from a root bus to a function.
struct PathStep {
  std::uint8_t device = 0;
  std::uint8_t function = 0;
  friend bool operator==(PathStep, PathStep) = default;
};

struct DeviceScope {
  enum class Kind : std::uint8_t { kEndpoint, kSubHierarchy };  // sub-hierarchy: a bridge and below
  Kind kind = Kind::kEndpoint;
  std::uint8_t start_bus = 0;
  std::vector<PathStep> path{};  // at least one step
};

// Functions by what they are called on the bus: bus, device and function numbers as the firmware
// left them, both ends included.
struct FunctionRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;

  [[nodiscard]] constexpr bool holds(std::uint16_t bdf) const {
    return first <= bdf && bdf <= last;
  }
  friend bool operator==(FunctionRange, FunctionRange) = default;
};

struct UnitCoverage {
  std::uint64_t register_base = 0;  // GPA of the unit's registers: what names it in the table
  std::uint16_t segment = 0;
  bool rest_of_segment = false;  // covers every function that no other unit names (INCLUDE_PCI_ALL)
  std::vector<DeviceScope> scopes{};
  std::vector<FunctionRange> functions{};
};

struct Coverage {
  std::vector<UnitCoverage> units;
};

struct TableError {
  std::size_t offset = 0;  // into the table
  std::string cause;
};

// A kind of firmware table. Stateless; any thread.
class TableParser {
 public:
  virtual ~TableParser() = default;
  [[nodiscard]] virtual Result<Coverage, TableError> parse(
      std::span<const std::byte> table) const = 0;
};

// Where a function sits: itself, and the bridges above it, root bus first. The start bus of a scope
// is the bus of the first of them.
struct Location {
  Requester function;
  std::vector<Requester> bridges{};
};

[[nodiscard]] bool scope_covers(const DeviceScope& scope, const Location& location);
// Whether the unit names the function, by a scope or by its number; rest_of_segment is no naming.
[[nodiscard]] bool names(const UnitCoverage& unit, const Location& location);

}  // namespace weir
