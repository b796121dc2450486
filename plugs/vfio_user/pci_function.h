// SPDX-License-Identifier: Apache-2.0
//
// One PCI function as the vfio-user server serves it (PciFunction, what a device emulator
// implements) and what the server gives the function in return (FunctionHost). The function answers
// for its configuration space and its BARs; the server owns the socket, the client's memory and the
// eventfds, and opens and closes the function's DmaPort for bus mastering as PCI_COMMAND says.
//
// Thread rules: every PciFunction member is called on the server's one thread, with no lock held;
// none may wait for another function, for a pin, or for the client. A function that has threads of
// its own may use all of FunctionHost from them. Accesses come in any size at any offset inside the
// region, as the client cut them; never beyond its end. Nothing here throws.
//
// Source: vfio-user protocol, DEVICE_GET_REGION_INFO, DEVICE_SET_IRQS, REGION_READ, REGION_WRITE.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "base/clock.h"
#include "iommu/dma_port.h"
#include "iommu/interrupts.h"
#include "plugs/vfio_user/config_space.h"

namespace weir::vfio_user {

inline constexpr unsigned kBarCount = 6;

// Numbered as VFIO numbers its interrupt indexes.
enum class InterruptKind : std::uint8_t { kMsi = 1, kMsix = 2 };

// How many vectors of each kind the function has: what the client may wire to eventfds. There are
// no interrupt lines.
struct InterruptCounts {
  std::uint32_t msi = 0;
  std::uint32_t msix = 0;
};

// The server, as one function sees it. All members: any thread. Valid from start() until the
// function is destroyed.
class FunctionHost {
 public:
  virtual ~FunctionHost() = default;

  // The function's way to memory. Every access of the device goes through here.
  [[nodiscard]] virtual DmaPort& dma() = 0;
  [[nodiscard]] virtual const Clock& clock() const = 0;

  // Signals the eventfd that the client wired to the vector. False: there is none (the guest has
  // not enabled the vector, or nobody is connected); the interrupt is lost, as on the bus.
  virtual bool raise(InterruptKind kind, std::uint32_t vector) = 0;
  // Sends a message of the function's own making, past eventfds: four bytes written to `address`
  // by the client on its behalf. False: bus mastering is off or nobody is connected. Takes no
  // IOMMU's advice; a message that is to be remapped is a DMA write of dma().
  virtual bool send_msi(Msi msi) = 0;

  // Runs `work` on the server's thread: as soon as what it does now is over, or after `delay` of
  // its clock. In order of their times. What is left when the server ends is not run.
  virtual void post(std::function<void()> work) = 0;
  virtual void post_after(Clock::Duration delay, std::function<void()> work) = 0;
};

class PciFunction {
 public:
  virtual ~PciFunction() = default;

  // Once, before anything else but interrupts() is called. The DmaPort outlives the function.
  virtual void start(FunctionHost& host) = 0;

  // Constant. Bytes of BAR 0…5; 0: there is none. A 64-bit BAR n leaves n+1 at 0.
  [[nodiscard]] virtual std::uint64_t bar_size(unsigned bar) const = 0;
  [[nodiscard]] virtual InterruptCounts interrupts() const = 0;

  // Of a BAR that exists; `offset` + size is inside. Writes may have been posted: the client has
  // gone on already.
  virtual void read_bar(unsigned bar, std::uint64_t offset, std::span<std::byte> to) = 0;
  virtual void write_bar(unsigned bar, std::uint64_t offset, std::span<const std::byte> from) = 0;

  // The header and capabilities. The client emulates BAR addresses, MSI and MSI-X in front of it
  // and forwards the rest, PCI_COMMAND included.
  [[nodiscard]] virtual ConfigSpace& config() = 0;
  // For functions with registers in their configuration space. `offset` + size is inside.
  virtual void read_config(std::uint64_t offset, std::span<std::byte> to) {
    config().read(offset, to);
  }
  virtual void write_config(std::uint64_t offset, std::span<const std::byte> from) {
    config().write(offset, from);
  }

  // PCI_COMMAND.BME went on or off; the port has been opened or closed already. Off is also said
  // when the client goes away.
  virtual void bus_master_changed(bool /*on*/) {}

  // Power-on state: the client asked for it, or went away. What the device still holds (pins) it
  // releases soon; until then the client's reset is not answered.
  virtual void reset() = 0;
  // Whether all that the reset began is over; asked until it is. The function's own pins and bursts
  // need no mention: the server waits for those by itself.
  [[nodiscard]] virtual bool reset_settled() { return true; }
};

}  // namespace weir::vfio_user
