// SPDX-License-Identifier: Apache-2.0
//
// A machine as its guest finds it: functions with what their configuration space says, devices of
// ACPI with their ids and addresses, I/O APICs and HPETs. Who is above whom is told from bus
// numbers alone, and under which numbers requests arrive by Linux' rules (pci_for_each_dma_alias);
// weir's own answers are not asked.
//
// Plain values; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "iommu/topology.h"

namespace weir::truth {

struct SeenFunction {
  enum class Type : std::uint8_t { kPlain, kPciePort, kPcieToPci, kPciBridge };
  std::uint32_t id = 0;  // in the Topology, for whoever compares
  std::uint16_t segment = 0;
  std::uint16_t bdf = 0;
  Type type = Type::kPlain;
  std::uint8_t secondary = 0;
  std::uint8_t subordinate = 0;
  std::optional<std::uint16_t> physical{};  // number of its physical function
  std::optional<std::uint16_t> quirk{};     // asks as this
  unsigned phantom_bits = 0;
  bool root_port = false;

  [[nodiscard]] bool bridge() const { return type != Type::kPlain; }
};

struct SeenNamed {
  std::string path, hid, uid;
  std::uint16_t segment = 0;
  std::uint16_t number = 0;
  std::optional<std::uint64_t> mmio{};
};

struct SeenSource {
  bool hpet = false;
  std::uint8_t id = 0;
  std::uint16_t segment = 0;
  std::uint16_t number = 0;
};

class GuestView {
 public:
  // What is present, or everything that may ever come, several in one slot.
  enum class Of : std::uint8_t { kPresent, kDeclared };
  explicit GuestView(const Topology& machine, Of which = Of::kPresent);

  [[nodiscard]] const std::vector<SeenFunction>& functions() const { return functions_; }
  [[nodiscard]] const std::vector<SeenNamed>& named() const { return named_; }
  [[nodiscard]] const std::vector<SeenSource>& sources() const { return sources_; }

  [[nodiscard]] const SeenFunction* find(std::uint16_t segment, unsigned bdf) const;
  // The bridge whose secondary bus it sits on.
  [[nodiscard]] const SeenFunction* above(const SeenFunction& function) const;
  // Every number that Linux asks about on behalf of the function: its own, a quirk's, and those
  // that bridges above put in its place.
  [[nodiscard]] std::vector<std::uint16_t> aliases(const SeenFunction& function) const;
  // Those under which its DMA arrives: what the last bridge made of it, with phantom functions
  // (PCIe 6.0, 7.5.3.4) where none renames it.
  [[nodiscard]] std::set<std::uint16_t> requests(const SeenFunction& function) const;

 private:
  std::vector<SeenFunction> functions_;
  std::vector<SeenNamed> named_;
  std::vector<SeenSource> sources_;
  std::map<std::pair<std::uint16_t, unsigned>, std::size_t> by_number_, by_secondary_;
};

}  // namespace weir::truth
