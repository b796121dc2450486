// SPDX-License-Identifier: Apache-2.0
//
// The front door of an AMD-Vi remapping unit (AMD publication 48882): a register file to map into
// the guest's address space, and nothing else; everything a guest does to the unit goes through it,
// its rings and its memory. Made by Iommu::add_unit<amdvi::Unit>(register_base, options).
//
// The unit is also a PCI function, which is the embedder's: its capability block is in
// capability_block.h, and where its MSI capability points is told to the unit by set_msi.
//
// Registers may be accessed from any thread, at any offset and size; what the manual does not
// define reads 0 and ignores writes. No call waits for a device: a ring that must wait stays
// parked.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "iommu/unit.h"
#include "vendors/amdvi/options.h"

namespace weir::amdvi {

class Unit final : public weir::Unit {
 public:
  static constexpr std::uint64_t kRegisterBytes = 0x4000;

  // REQUIRES: options as their comments say.
  Unit(UnitHost& host, const Options& options);
  ~Unit() override;

  // `size` 4 or 8 at a multiple of it; anything else reads 0 and writes nothing.
  [[nodiscard]] std::uint64_t read_register(std::uint64_t offset, unsigned size);
  void write_register(std::uint64_t offset, unsigned size, std::uint64_t value);
  // The message that the function's MSI capability is programmed to; nothing while it is off.
  void set_msi(std::optional<Msi> msi);

  // The core's side.
  [[nodiscard]] Result<iotlb::Context, Fault> read_context(
      const Request& request, const pagetables::PhysicalMemory& memory) override;
  [[nodiscard]] std::optional<Fault> check(const iotlb::Context& context,
                                           const Request& request) override;
  [[nodiscard]] Result<pagetables::Leaf<Gpa>, Fault> walk(const iotlb::Context& context,
                                                          const Request& piece,
                                                          const WalkScope& scope) override;
  [[nodiscard]] Fault deny(const iotlb::Context& context, const Request& request,
                           Denial denial) override;
  [[nodiscard]] Result<RemappedInterrupt, Fault> remap_interrupt(
      const Request& request, Msi msi, const pagetables::PhysicalMemory& memory) override;
  [[nodiscard]] Result<std::optional<Msi>, Fault> post_interrupt(
      const Request& request, const RemappedInterrupt& posted,
      const pagetables::PhysicalMemory& memory) override;
  [[nodiscard]] std::optional<PageResponseCode> take_page_request(
      const PageRequest& request) override;
  void device_tlb_timed_out(Requester function, Ticket ticket) override;
  void record(const Fault& fault) override;
  [[nodiscard]] bool announces_mappings() const override;
  void poll() override;
  void reset() override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weir::amdvi
