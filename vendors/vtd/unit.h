// SPDX-License-Identifier: Apache-2.0
//
// The front door of a VT-d remapping unit: a register file to map into the guest's address space,
// and nothing else; everything a guest does to the unit goes through it, its queues and its memory.
// Made by Iommu::add_unit<vtd::Unit>(register_base, options); options.h has the named sets.
//
// Vendor words: the manual's source-id is weir's Requester, its domain-id (DID) weir's DomainId,
// its second-stage (older: second-level) tables weir's guest stage 2, its first-stage ones stage 1.
//
// Registers may be accessed from any thread, at any offset and size; what the manual does not
// define reads 0 and ignores writes. No call waits for a device: a queue that must wait stays
// parked.
#pragma once

#include <cstdint>
#include <memory>

#include "iommu/unit.h"
#include "vendors/vtd/options.h"

namespace weir::vtd {

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
  [[nodiscard]] Result<iotlb::Context, Fault> trace_context(
      const Request& request, const pagetables::PhysicalMemory& memory,
      pagetables::WordTrail& trail) override;
  [[nodiscard]] std::optional<Fault> check(const iotlb::Context& context,
                                           const Request& request) override;
  [[nodiscard]] Fault deny(const iotlb::Context& context, const Request& request,
                           Denial denial) override;
  [[nodiscard]] Result<pagetables::Leaf<Gpa>, Fault> walk(const iotlb::Context& context,
                                                          const Request& piece,
                                                          const WalkScope& scope) override;
  [[nodiscard]] Result<RemappedInterrupt, Fault> remap_interrupt(
      const Request& request, Msi msi, const pagetables::PhysicalMemory& memory) override;
  [[nodiscard]] Result<std::optional<Msi>, Fault> post_interrupt(
      const Request& request, const RemappedInterrupt& posted,
      const pagetables::PhysicalMemory& memory) override;
  [[nodiscard]] bool announces_mappings() const override;
  [[nodiscard]] std::optional<PageResponseCode> judge_page_request(
      const PageRequest& request, const pagetables::PhysicalMemory& memory) override;
  void device_tlb_timed_out(Requester function, Ticket ticket) override;
  void record(const Fault& fault) override;
  void poll() override;
  void reset() override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weir::vtd
