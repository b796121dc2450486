// SPDX-License-Identifier: Apache-2.0
//
// The front door of a VT-d remapping unit: a register file to map into the guest's address space,
// and nothing else; everything a guest does to the unit goes through it, its queues and its memory.
// Legacy mode, second-stage translation. Made by Iommu::add_unit<vtd::Unit>(register_base,
// options).
//
// Vendor words: the manual's source-id is weir's Requester, its domain-id (DID) weir's DomainId,
// its second-stage (older: second-level) tables weir's guest stage 2.
//
// Registers may be accessed from any thread, at any offset and size; what the manual does not
// define reads 0 and ignores writes. No call waits for a device: a queue that must wait stays
// parked.
#pragma once

#include <cstdint>
#include <memory>

#include "iommu/unit.h"

namespace weir::vtd {

// What the unit is made as. The capability registers follow from it.
struct Options {
  unsigned address_bits = 48;  // MGAW, and the host address width: 39, 48 or 57
  bool levels_3 = true;        // SAGAW; at least one of the three
  bool levels_4 = true;
  bool levels_5 = false;  // needs address_bits 57
  bool pages_2m = true;   // SSLPS
  bool pages_1g = true;
  bool caching_mode = false;       // CM
  bool snoop_control = false;      // SC: SNP defined in leaves
  bool device_tlb = false;         // DT: TT=01 is a valid context
  unsigned fault_records = 8;      // NFR: 1…256
  unsigned max_address_mask = 45;  // MAMV: 0…63; page-selective invalidations beyond it are refused
};

class Unit final : public weir::Unit {
 public:
  static constexpr std::uint64_t kRegisterBytes = 0x2000;

  // REQUIRES: options as their comments say.
  Unit(UnitHost& host, const Options& options);
  ~Unit() override;

  // `size` 4 or 8 at a multiple of it; anything else reads 0 and writes nothing.
  [[nodiscard]] std::uint64_t read_register(std::uint64_t offset, unsigned size);
  void write_register(std::uint64_t offset, unsigned size, std::uint64_t value);

  // The core's side.
  [[nodiscard]] Result<iotlb::Context, Fault> read_context(
      const Request& request, const pagetables::PhysicalMemory& memory) override;
  [[nodiscard]] std::optional<Fault> check(const iotlb::Context& context,
                                           const Request& request) override;
  [[nodiscard]] Fault deny(const iotlb::Context& context, const Request& request,
                           Denial denial) override;
  [[nodiscard]] Result<pagetables::Leaf<Gpa>, Fault> walk(const iotlb::Context& context,
                                                          const Request& piece,
                                                          const WalkScope& scope) override;
  void record(const Fault& fault) override;
  void poll() override;
  void reset() override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weir::vtd
