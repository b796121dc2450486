// SPDX-License-Identifier: Apache-2.0
//
// A whole machine behind vfio-user: one IOMMU with the functions that a guest finds it by (of VT-d
// two, if asked for), devices behind it and devices beside it, the firmware table that says so, and
// the server. Routes come from the table's bytes, as everywhere; the guest reads the same bytes.
//
//   MachineOptions options{.front_end = FrontEnd::kVtd, .run_folder = "run"};
//   options.devices.push_back({.function = Requester::from_bdf(0, 4, 0), .make = …});
//   auto machine = Machine::create(std::move(options));
//   write (*machine)->table() where QEMU's -acpitable finds it, start QEMU, and
//   while (going_on) (*machine)->run_once(100ms);
//
// Where a device's own messages and the unit's interrupts go: to the client, as posted DMA writes.
// Nobody switches on bus mastering of an IOMMU, so the unit's messages travel on the socket of the
// first function behind it that may (the guest has a driver for one, or it would not be faulting).
//
// One thread; counters and posting from any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "iommu/iommu.h"
#include "plugs/vfio_user/pci_function.h"
#include "plugs/vfio_user/server.h"
#include "replay/live_check.h"
#include "vendors/amdvi/options.h"
#include "vendors/virtio_iommu/options.h"
#include "vendors/vtd/options.h"

namespace weir::vfio_user {

enum class FrontEnd : std::uint8_t { kNone, kVtd, kAmdvi, kVirtioIommu };

struct MachineDevice {
  Requester function;   // on bus 0
  bool bypass = false;  // beside the unit: the table leaves it out
  bool second = false;  // behind the second unit, if there is one
  std::unique_ptr<PciFunction> device;
};

struct MachineOptions {
  FrontEnd front_end = FrontEnd::kNone;
  // Of the front end that is chosen. Interrupts of QEMU's machine do not pass a unit in another
  // process, so the registers of VT-d offer to remap interrupts only if that is asked for by name:
  // to a guest that the table keeps from it.
  bool interrupt_remapping = false;
  vtd::Options vtd{};
  amdvi::Options amdvi{};
  virtio_iommu::Options viommu{};  // but for endpoints

  // The function that a guest finds the unit by: registers or, of virtio, the device itself.
  Requester holder = Requester::from_bdf(0, 3, 0);
  Requester amdvi_function = Requester::from_bdf(0, 2, 0);  // that the IVRS names
  // Of the unit's registers; nothing: where SeaBIOS puts them on a q35 without other devices.
  std::optional<std::uint64_t> register_base{};

  // Another unit of VT-d, with registers of its own.
  struct SecondUnit {
    Requester holder;  // in a slot of its own
    vtd::Options vtd{};
  };
  std::optional<SecondUnit> second_unit{};

  // The firmware table, taken as it is; empty: one is built. Who is behind a unit is then what
  // these bytes say, and not MachineDevice.
  std::vector<std::byte> table{};

  std::vector<MachineDevice> devices{};
  std::string run_folder{};  // of the sockets; exists
  ServerOptions server{};
  CacheOptions caches{};
  FaultSink* faults = nullptr;  // must outlive the machine

  // Every answer is judged beside the normal path (replay/live_check.h), at the cost of a walk
  // each.
  bool check = false;
  std::string record{};  // a file that gets weir's own trace of all that happens; empty: none
};

class Machine {
 public:
  // Refuses in one sentence.
  [[nodiscard]] static Result<std::unique_ptr<Machine>, std::string> create(MachineOptions options);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // The firmware table; empty without an IOMMU.
  [[nodiscard]] const std::vector<std::byte>& table() const;
  // One per socket, to be started with: where the function sits and what it connects to.
  struct Connection {
    Requester function;
    std::string socket;
    std::string name;  // "iommu", "amdvi", "device4.0", …
  };
  [[nodiscard]] const std::vector<Connection>& connections() const;

  // As Server::run_once.
  void run_once(Clock::Duration at_most);
  void wake();
  [[nodiscard]] std::size_t connected() const;

  [[nodiscard]] Iommu& iommu();
  // What the table says of the registers, and where the firmware has put them; the second nothing
  // before it has, or where no table names them.
  [[nodiscard]] std::uint64_t register_base() const;
  [[nodiscard]] std::optional<std::uint64_t> placed_at() const;
  // The same of the second unit; nothing: there is none.
  [[nodiscard]] std::optional<std::uint64_t> second_base() const;
  [[nodiscard]] std::optional<std::uint64_t> second_placed_at() const;

  // Whether the guest has ever had translation on, as the unit's own registers say.
  [[nodiscard]] bool was_translating() const;
  // What the check has found so far, and whether its books are the machine's; nothing: no check.
  struct Checked {
    replay::LiveFindings findings;
    bool books_exact = false;
  };
  [[nodiscard]] std::optional<Checked> checked();
  // Ends the recording, if there is one; nothing of what happens afterwards is in it. Refuses in
  // one sentence what could not be written.
  [[nodiscard]] Result<Done, std::string> finish_recording();

  // Messages of units that no function could carry.
  [[nodiscard]] std::uint64_t lost_unit_messages() const;

 private:
  struct State;
  explicit Machine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::vfio_user
