// SPDX-License-Identifier: Apache-2.0
//
// What a firmware table says about who is covered by which unit, in neutral words: the parse of a
// DMAR, an IVRS, a VIOT, a device tree or a list. Routes are resolved from this and from nothing
// else, because these are the bytes that the guest reads.
//
// Plain values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
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
  // Sub-hierarchy: a bridge and below. The last three name no PCI function but an I/O APIC, a timer
  // or a device of ACPI, by the number that its requests bear.
  enum class Kind : std::uint8_t { kEndpoint, kSubHierarchy, kIoApic, kHpet, kNamed };
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
  // Whether those are numbers of requests, whoever makes them (IVRS): I/O APICs, timers and devices
  // of ACPI as well. Else they are PCI functions.
  bool numbers_name_all = false;
  // Base addresses of devices that are no functions, of any segment.
  std::vector<std::uint64_t> mmio_devices{};
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

// What asks. An I/O APIC may bear the number of a PCI function; tables keep the two apart.
enum class Origin : std::uint8_t { kFunction, kIoApic, kHpet, kNamed };

// Where a function sits: itself, and the bridges above it, root bus first. The start bus of a scope
// is the bus of the first of them.
struct Location {
  Requester function;
  std::vector<Requester> bridges{};
  // Of a virtual function, its physical one: a scope that names that names both.
  std::optional<Requester> physical{};
  // The number that its requests bear where a bridge or a quirk puts another in its place.
  std::optional<Requester> alias{};
  Origin origin = Origin::kFunction;
  std::optional<std::uint64_t> mmio{};  // base address of a device that ACPI names
};

[[nodiscard]] bool scope_covers(const DeviceScope& scope, const Location& location);
// Whether the unit names the function, by a scope, its number or its address; rest_of_segment is no
// naming.
[[nodiscard]] bool names(const UnitCoverage& unit, const Location& location);

// The entry that covers the location: one that names it, else the one that takes the rest of the
// segment (functions only); null: nobody. A contradiction is refused in one sentence. The answer
// points into `coverage`.
[[nodiscard]] Result<const UnitCoverage*, std::string> covering(const Coverage& coverage,
                                                                const Location& location);

}  // namespace weir
