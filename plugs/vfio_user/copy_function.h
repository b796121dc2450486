// SPDX-License-Identifier: Apache-2.0
//
// The smallest device that does DMA: told a source, a destination and a length, it copies. For
// tests of the way to memory that want no driver and no queues.
//
//   00h  source address                  64 bits
//   08h  destination address             64
//   10h  bytes, at most 64 KiB           32
//   14h  any write: copy                 32
//   18h  status: 0 done, 1 the source faulted, 2 the destination did     32
//   1Ch  copies so far                   32
//
// After a copy MSI-X vector 0 is raised. Registers are of 4 bytes, or 8 where they are 64 bits wide
// and halves of them. Thread rules: those of PciFunction.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "plugs/vfio_user/pci_function.h"

namespace weir::vfio_user {

class CopyFunction final : public PciFunction {
 public:
  CopyFunction();

  void start(FunctionHost& host) override { host_ = &host; }
  [[nodiscard]] std::uint64_t bar_size(unsigned bar) const override { return bar < 2 ? 0x1000 : 0; }
  [[nodiscard]] InterruptCounts interrupts() const override { return {.msix = 1}; }
  void read_bar(unsigned bar, std::uint64_t offset, std::span<std::byte> to) override;
  void write_bar(unsigned bar, std::uint64_t offset, std::span<const std::byte> from) override;
  [[nodiscard]] ConfigSpace& config() override { return config_; }
  void reset() override;

 private:
  static constexpr std::size_t kWords = 8;
  void copy();

  ConfigSpace config_;
  FunctionHost* host_ = nullptr;
  std::array<std::uint32_t, kWords> words_{};
  std::vector<std::byte> buffer_;
};

}  // namespace weir::vfio_user
