// SPDX-License-Identifier: Apache-2.0
//
// One client's conversation with one function: takes whole messages, does what they ask, and gives
// the reply. It knows nothing of sockets. The client is hostile: whatever a message holds, the
// answer is a reply, an error, or the end of the conversation.
//
// One thread. handle() never waits: where a reply must not go out before something has drained (the
// unmapped memory is still in use, the device's last transfer is under way), the answer says how to
// ask; until then the next message has to wait.
//
// The first message negotiates the version (VERSION); major 0 is spoken. Of the capabilities that a
// client may propose, none is taken up but the limits: 1 MiB of data and 16 descriptors a message.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "plugs/vfio_user/interrupt_lines.h"
#include "plugs/vfio_user/message.h"
#include "plugs/vfio_user/pci_function.h"

namespace weir::vfio_user {

// What a session changes outside its function. Each gives a way to ask whether the change is
// complete; an empty one is complete already.
class SessionHost {
 public:
  using Settled = std::function<bool()>;

  virtual ~SessionHost() = default;
  // The client's memory; an errno, or 0 and `settled`.
  virtual int map(const DmaMap& what, FileDescriptor file, Settled& settled) = 0;
  virtual int unmap(const DmaUnmap& what, Settled& settled) = 0;
  virtual Settled unmap_all() = 0;
  virtual Settled set_bus_master(bool on) = 0;
  // The function is in its power-on state, but for what it had in flight.
  virtual Settled reset_requester() = 0;
};

class Session {
 public:
  // All must outlive the session.
  Session(PciFunction& function, InterruptLines& lines, SessionHost& host)
      : function_(function), lines_(lines), host_(host) {}

  struct Answer {
    std::vector<std::byte> reply;    // empty: none
    SessionHost::Settled settled{};  // the reply, and the next message, wait for it; empty: at once
    bool end = false;                // the conversation is over
  };
  [[nodiscard]] Answer handle(Message message);

  // The function to its power-on state.
  [[nodiscard]] SessionHost::Settled reset_function();
  // The client has gone: the function is reset and its memory given back.
  [[nodiscard]] SessionHost::Settled end();

 private:
  // Of one command: what goes into the reply, or why not.
  struct Outcome {
    int error = 0;
    std::vector<std::byte> payload{};
    SessionHost::Settled settled{};
  };

  [[nodiscard]] Answer negotiate(const Message& message);
  [[nodiscard]] Outcome carry_out(Message& message);
  [[nodiscard]] Outcome map(Message& message);
  [[nodiscard]] Outcome unmap(const Message& message);
  [[nodiscard]] Outcome device_info(const Message& message) const;
  [[nodiscard]] Outcome region_info(const Message& message) const;
  [[nodiscard]] Outcome irq_info(const Message& message) const;
  [[nodiscard]] Outcome set_irqs(Message& message);
  [[nodiscard]] Outcome region_read(const Message& message);
  [[nodiscard]] Outcome region_write(const Message& message);

  [[nodiscard]] std::uint64_t region_size(std::uint32_t region) const;
  // Whether the access lies inside its region, and is no longer than a message.
  [[nodiscard]] bool inside(const RegionAccess& access) const;
  // After anything that can have changed PCI_COMMAND.
  [[nodiscard]] SessionHost::Settled follow_bus_master();

  PciFunction& function_;
  InterruptLines& lines_;
  SessionHost& host_;
  bool negotiated_ = false;
  bool bus_master_ = false;
};

}  // namespace weir::vfio_user
