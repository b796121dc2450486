// SPDX-License-Identifier: Apache-2.0
//
// The machine as its firmware would describe it: segments and root buses, bridges and functions,
// the units and what the embedder wishes to be behind them, interrupt controllers, timers, devices
// that only ACPI names, reserved memory. Firmware tables are built from a Topology, audited against
// one, and what the tables then say is compared with its wishes.
//
// A function keeps its FunctionId for good. Its number on the bus does not: it follows the
// secondary bus number of the bridge above, which is the guest's to change. A slot that is to be
// filled later is declared ahead with `present = false`, so that the tables can speak of it.
//
// Plain values, one thread at a time; nothing here reads guest memory or decides a route. Errors
// are one sentence. Sources: PCIe 6.0 2.2.6.2 (ARI), 6.12 (ACS), 7.5.3.4 (phantom functions);
// PCIe-to-PCI bridge 1.0 2.3 (whose number a bridged request bears).
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "iommu/coverage.h"

namespace weir {

struct FunctionId {
  std::uint32_t value = 0;
  friend constexpr auto operator<=>(FunctionId, FunctionId) = default;
};

// What the embedder wants of a function. The tables decide; a wish they cannot express is refused
// when they are built.
struct Wish {
  enum class Kind : std::uint8_t { kBypass, kUnit, kWindow };
  Kind kind = Kind::kBypass;
  std::uint32_t index = 0;  // of the unit or the window

  [[nodiscard]] static constexpr Wish bypass() { return {}; }
  [[nodiscard]] static constexpr Wish unit(std::uint32_t index) { return {Kind::kUnit, index}; }
  [[nodiscard]] static constexpr Wish window(std::uint32_t index) { return {Kind::kWindow, index}; }
  friend constexpr bool operator==(Wish, Wish) = default;
};

struct RootBus {
  std::string name{};  // ACPI path or the embedder's own; for messages
  std::uint16_t segment = 0;
  std::uint8_t bus = 0;
  std::uint8_t last_bus = 0xff;  // of those that the host bridge forwards
};

enum class FunctionKind : std::uint8_t {
  kIntegrated,       // PCIe, on a root bus
  kEndpoint,         // PCIe, below a port
  kConventional,     // PCI
  kRootPort,         // and the three other bridges of a PCIe tree
  kUpstreamPort,     //
  kDownstreamPort,   //
  kPcieToPciBridge,  // what is below asks as device 0, function 0 of the secondary bus
  kPciBridge,        // conventional; what is below asks as the bridge
};
[[nodiscard]] constexpr bool is_bridge(FunctionKind kind) {
  return kind >= FunctionKind::kRootPort;
}

struct Bar {
  std::uint8_t index = 0;
  std::uint64_t base = 0;  // GPA, as the guest has programmed it
  std::uint64_t bytes = 0;
  bool decoded = true;  // memory space enable
};

struct Function {
  std::string name{};  // for messages; empty: its number
  FunctionKind kind = FunctionKind::kIntegrated;
  std::uint32_t root = 0;              // index of the root bus it sits on or below
  std::optional<FunctionId> bridge{};  // the one directly above; none: on the root bus
  std::uint8_t devfn = 0;              // device 7:3, function 2:0; with ARI the function alone
  bool ari = false;                    // devfn is a function number of 8 bits of device 0
  bool present = true;                 // false: an empty slot, declared ahead
  Wish wish{};
  std::uint8_t secondary = 0;    // of a bridge: buses below, as the guest numbers them now
  std::uint8_t subordinate = 0;  //
  // Has ACS with SV, RR, CR and UF, or needs none (endpoint). Conventional functions never do.
  bool isolates = true;
  std::uint8_t phantom_bits = 0;         // 0…3 high bits of its function number that it may vary
  std::optional<std::uint16_t> alias{};  // asks under this number instead (a quirk)
  std::optional<FunctionId> physical{};  // of a virtual function: its physical one
  bool ats = false;                      // has the ATS capability
  // Of a device in the chip itself: what it may not do without a PASID, as SIDP has it (0:
  // nothing).
  std::uint8_t integrated_properties = 0;
  bool system_on_chip = false;  // integrated into the root complex: listed by SATC, not ATSR
  std::vector<Bar> bars{};
};

// A remapping unit and how tables name it.
struct UnitPlace {
  std::string name{};
  std::uint64_t register_base = 0;  // as UnitCoverage::register_base
  std::uint16_t segment = 0;
  // Asks for a table that says "and everything else of the segment" instead of a list. Needs every
  // function of the segment, present or declared, to be behind this unit or named by another.
  bool takes_rest = false;
  std::optional<FunctionId> function{};      // it is a PCI function itself (AMD-Vi, virtio-pci)
  std::optional<std::uint32_t> proximity{};  // NUMA node (RHSA)
};

// One range by which a function reaches memory, and nothing else. `first` is what the function
// uses; equal to `base` it is identity, and with a BAR it follows the BAR as well.
struct WindowPlace {
  std::string name{};
  std::uint64_t first = 0;  // IOVA
  std::uint64_t base = 0;   // GPA; with `bar`, an offset into it
  std::uint64_t bytes = 0;
  bool read = true;
  bool write = true;
  struct InBar {
    FunctionId function;
    std::uint8_t index = 0;
  };
  std::optional<InBar> bar{};  // follows its BAR
};

// An I/O APIC or an HPET: the number its messages bear, and whether a table lists it under a unit.
struct InterruptSource {
  enum class Kind : std::uint8_t { kIoApic, kHpet };
  Kind kind = Kind::kIoApic;
  std::uint8_t id = 0;  // I/O APIC id or HPET number
  Requester as{};
  std::optional<std::uint32_t> unit{};  // none: listed nowhere, its messages are not remapped
};

// A device that has no PCI function: ACPI names it.
struct NamedDevice {
  std::string path;   // \_SB.I2C0
  std::string hid{};  // at most 8 characters
  std::string uid{};
  Requester as{};                       // the number its requests bear
  std::optional<std::uint64_t> mmio{};  // base address (VIOT names it by this)
  Wish wish{};
};

struct ReservedRegion {
  std::uint16_t segment = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::vector<FunctionId> functions{};  // empty: every one (AMD-Vi only)
  bool read = true;
  bool write = true;
  bool exclusion = false;  // not translated at all (AMD-Vi); else mapped one to one
};

class Topology {
 public:
  // Each returns the index (or id) by which others refer to it. REQUIRES: what is referred to has
  // been added; check() tells of the rest.
  std::uint32_t add(RootBus root);
  FunctionId add(Function function);
  std::uint32_t add(UnitPlace unit);
  std::uint32_t add(WindowPlace window);
  void add(InterruptSource source);
  void add(NamedDevice device);
  void add(ReservedRegion region);

  [[nodiscard]] const std::vector<RootBus>& roots() const { return roots_; }
  [[nodiscard]] const std::vector<UnitPlace>& units() const { return units_; }
  [[nodiscard]] const std::vector<WindowPlace>& windows() const { return windows_; }
  [[nodiscard]] const std::vector<InterruptSource>& interrupt_sources() const { return sources_; }
  [[nodiscard]] const std::vector<NamedDevice>& named_devices() const { return named_; }
  [[nodiscard]] const std::vector<ReservedRegion>& reserved() const { return reserved_; }
  [[nodiscard]] std::uint32_t functions() const {
    return static_cast<std::uint32_t>(functions_.size());
  }
  // REQUIRES: an id that add gave.
  [[nodiscard]] const Function& operator[](FunctionId id) const { return functions_[id.value]; }

  // Where the function is now.
  [[nodiscard]] Requester number(FunctionId id) const;
  // For names() and covering(): the function, and the bridges above it.
  [[nodiscard]] Location location(FunctionId id) const;
  [[nodiscard]] static Location location(const InterruptSource& source);
  [[nodiscard]] static Location location(const NamedDevice& device);
  // The number that its requests bear, after bridges above and quirks.
  [[nodiscard]] Requester requester(FunctionId id) const;
  // All numbers that its requests may bear: that one, and its phantom functions'. Ascending.
  [[nodiscard]] std::vector<Requester> requesters(FunctionId id) const;
  // Functions that nothing keeps apart: same alias, a multi-function device or a bridge that does
  // not isolate. Every function is in one group; ascending ids. Empty slots count.
  [[nodiscard]] std::vector<std::vector<FunctionId>> groups() const;
  // "00:02.0", or the function's name and that.
  [[nodiscard]] std::string name(FunctionId id) const;
  // Where the window lies now; nothing: its BAR is not there or not decoded.
  struct Span {
    std::uint64_t first = 0;  // IOVA
    std::uint64_t base = 0;   // GPA
    std::uint64_t bytes = 0;
  };
  [[nodiscard]] std::optional<Span> window_now(std::uint32_t window) const;

  // Changes while the machine runs. Each refuses what contradicts the rest and then changes
  // nothing.
  [[nodiscard]] Result<Done, std::string> plug(FunctionId id);    // fills a declared slot
  [[nodiscard]] Result<Done, std::string> unplug(FunctionId id);  // with all that is below it
  [[nodiscard]] Result<Done, std::string> renumber(FunctionId bridge, std::uint8_t secondary,
                                                   std::uint8_t subordinate);
  [[nodiscard]] Result<Done, std::string> set_bar(FunctionId id, Bar bar);
  // Counts changes: what was derived from the topology is good while it stays.
  [[nodiscard]] std::uint64_t revision() const { return revision_; }

  // What contradicts itself: two functions at one number, two units or devices at one address, two
  // I/O APICs with one id, a bridge that is none, an index past the end. REQUIRES of everything
  // that takes a Topology.
  [[nodiscard]] Result<Done, std::string> check() const;

 private:
  [[nodiscard]] std::uint8_t bus_of(const Function& function) const;
  [[nodiscard]] std::optional<std::string> problem_of(FunctionId id) const;
  [[nodiscard]] std::optional<std::string> two_at_one_number() const;
  [[nodiscard]] std::optional<std::string> two_by_one_name() const;

  std::vector<RootBus> roots_;
  std::vector<Function> functions_;
  std::vector<UnitPlace> units_;
  std::vector<WindowPlace> windows_;
  std::vector<InterruptSource> sources_;
  std::vector<NamedDevice> named_;
  std::vector<ReservedRegion> reserved_;
  std::uint64_t revision_ = 0;
};

// "00:02.0"; with another segment than 0, "0001:00:02.0".
[[nodiscard]] std::string to_string(Requester function);

}  // namespace weir
