// SPDX-License-Identifier: Apache-2.0
//
// The PCI function that an AMD-Vi unit is (48882 section 3.2): class 0806h, with the capability
// block that says where its registers are, and an MSI capability that the guest's driver programs
// and the unit's interrupts go by. The registers themselves are in another function's BAR
// (window_function.h), at the address that the IVRS names too.
//
// Nobody switches on bus mastering of such a function, and without it the client drops its eventfd
// MSI: what the driver programs is told to the unit instead, whose messages another function
// carries (Machine).
//
// Thread rules: those of PciFunction.
#pragma once

#include <cstdint>

#include "plugs/vfio_user/pci_function.h"
#include "vendors/amdvi/capability_block.h"
#include "vendors/amdvi/unit.h"

namespace weir::vfio_user {

class AmdviFunction final : public PciFunction {
 public:
  // Where the capability block is in the configuration space: for the IVRS.
  static constexpr std::uint8_t kCapabilityAt = 0x40;

  // `unit` must outlive the function.
  AmdviFunction(amdvi::Unit& unit, const amdvi::Options& options, std::uint64_t register_base);

  void start(FunctionHost& /*host*/) override {}
  [[nodiscard]] std::uint64_t bar_size(unsigned /*bar*/) const override { return 0; }
  [[nodiscard]] InterruptCounts interrupts() const override { return {.msi = 1}; }
  void read_bar(unsigned, std::uint64_t, std::span<std::byte>) override {}
  void write_bar(unsigned, std::uint64_t, std::span<const std::byte>) override {}
  [[nodiscard]] ConfigSpace& config() override { return config_; }
  void write_config(std::uint64_t offset, std::span<const std::byte> from) override;
  void reset() override;

 private:
  void tell_msi();

  amdvi::Unit& unit_;
  ConfigSpace config_;
  std::uint8_t msi_at_ = 0;
};

}  // namespace weir::vfio_user
