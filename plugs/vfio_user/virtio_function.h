// SPDX-License-Identifier: Apache-2.0
//
// The PCI function around any virtio device (virtio 1.4, 4.1): header and capabilities, BAR 0 with
// the transport's structures, BAR 1 with the MSI-X table, and the device's interrupts as MSI-X
// vectors. The device type behind it is somebody else's: virtio::Device over a virtio::DeviceType.
//
//   VirtioFunction function({.class_code = 0x010000, .vectors = 3});
//   virtio::Device device(type, &function);  // the function is the device's interrupt sink
//   function.serve(device);
//
// Thread rules: those of PciFunction; on_interrupt from any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "plugs/vfio_user/pci_function.h"
#include "vendors/common/virtio/device.h"
#include "vendors/common/virtio/pci.h"

namespace weir::vfio_user {

class VirtioFunction : public PciFunction, public virtio::InterruptSink {
 public:
  struct Options {
    std::uint32_t class_code = 0;
    std::uint16_t vectors = 1;  // 1…128: one for the configuration and each queue, as a rule
  };
  explicit VirtioFunction(const Options& options) : options_(options) {}
  // Once, before start(). `device` must outlive the function.
  void serve(virtio::Device& device);

  void start(FunctionHost& host) override { host_ = &host; }
  [[nodiscard]] std::uint64_t bar_size(unsigned bar) const override;
  [[nodiscard]] InterruptCounts interrupts() const override { return {.msix = options_.vectors}; }
  void read_bar(unsigned bar, std::uint64_t offset, std::span<std::byte> to) override;
  void write_bar(unsigned bar, std::uint64_t offset, std::span<const std::byte> from) override;
  // REQUIRES: serve() was called; so for everything below.
  [[nodiscard]] ConfigSpace& config() override { return *config_; }
  void read_config(std::uint64_t offset, std::span<std::byte> to) override;
  void write_config(std::uint64_t offset, std::span<const std::byte> from) override;
  void reset() override;

  void on_interrupt(const virtio::Interrupt& interrupt) override;

 protected:
  // Null before start().
  [[nodiscard]] FunctionHost* host() const { return host_; }

 private:
  // What the window capability points at; nothing: at no register.
  struct Window {
    std::uint32_t offset;
    unsigned size;
  };
  [[nodiscard]] std::optional<Window> window() const;
  [[nodiscard]] bool touches_window(std::uint64_t offset, std::size_t size) const;

  const Options options_;
  virtio::Device* device_ = nullptr;
  FunctionHost* host_ = nullptr;
  std::optional<virtio::PciTransport> transport_;
  std::optional<ConfigSpace> config_;
  std::uint8_t window_at_ = 0;  // the capability
};

}  // namespace weir::vfio_user
