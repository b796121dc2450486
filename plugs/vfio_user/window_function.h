// SPDX-License-Identifier: Apache-2.0
//
// The function that holds the registers of a remapping unit where a guest has them at an address
// that its firmware tables name: VT-d's DRHD, AMD-Vi's IVHD. A VMM lets devices in other processes
// answer only inside a BAR, so the registers are BAR 0 of a function of no use otherwise.
//
// The function hides once the guest's operating system has looked at the registers: from then on
// its configuration space reads as that of no function, while the BAR stays where the firmware put
// it. An operating system that found the function would find its BAR taken (by the unit that the
// table told it of) and move it. Put it into a slot of its own: hiding function 0 hides its
// siblings.
//
// Thread rules: those of PciFunction.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "plugs/vfio_user/pci_function.h"

namespace weir::vfio_user {

class WindowFunction final : public PciFunction {
 public:
  struct Options {
    std::uint64_t bytes = 0;  // of the registers: a power of two, 4 KiB or more
    // As the unit's own; accesses are naturally aligned and of 1, 2, 4 or 8 bytes.
    std::function<std::uint64_t(std::uint64_t offset, unsigned size)> read;
    std::function<void(std::uint64_t offset, unsigned size, std::uint64_t value)> write;
    // The machine is reset; and whether that is over.
    std::function<void()> reset;
    std::function<bool()> reset_settled;
    // Where BAR 0 is, whenever memory decode is switched on: for comparison with the table.
    std::function<void(std::uint64_t address)> placed;
  };
  explicit WindowFunction(Options options);

  void start(FunctionHost& /*host*/) override {}
  [[nodiscard]] std::uint64_t bar_size(unsigned bar) const override {
    return bar == 0 ? options_.bytes : 0;
  }
  [[nodiscard]] InterruptCounts interrupts() const override { return {}; }
  void read_bar(unsigned bar, std::uint64_t offset, std::span<std::byte> to) override;
  void write_bar(unsigned bar, std::uint64_t offset, std::span<const std::byte> from) override;
  [[nodiscard]] ConfigSpace& config() override { return config_; }
  void read_config(std::uint64_t offset, std::span<std::byte> to) override;
  void write_config(std::uint64_t offset, std::span<const std::byte> from) override;
  void reset() override;
  [[nodiscard]] bool reset_settled() override { return options_.reset_settled(); }

 private:
  const Options options_;
  ConfigSpace config_;
  bool hidden_ = false;
};

}  // namespace weir::vfio_user
