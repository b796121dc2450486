// SPDX-License-Identifier: Apache-2.0
//
// One function of a server: its socket, its client if one is connected, and what the function sees
// of the server. For Server only. The server's thread, but for what FunctionHost says.
#pragma once

#include <poll.h>

#include <atomic>
#include <memory>
#include <vector>

#include "plugs/vfio_user/server.h"
#include "plugs/vfio_user/session.h"
#include "plugs/vfio_user/socket.h"

namespace weir::vfio_user {

class Server::Endpoint final : public FunctionHost, private SessionHost {
 public:
  // Starts the function.
  Endpoint(Server& server, DmaMaps::Client number, Requester requester,
           std::unique_ptr<DmaPort> port, std::unique_ptr<PciFunction> function);
  ~Endpoint() override;

  void listen(FileDescriptor listening, std::string path);
  void connect(FileDescriptor connection);

  [[nodiscard]] Requester requester() const { return requester_; }
  [[nodiscard]] bool connected() const { return socket_ != nullptr; }
  // Somebody waits for a drain, of which no descriptor tells.
  [[nodiscard]] bool waiting() const { return static_cast<bool>(settled_); }

  // Not at its client's wish; no reply waits for it.
  void reset() { reset_ = session_.reset_function(); }
  [[nodiscard]] bool reset_settled() { return !reset_ || reset_(); }

  [[nodiscard]] pollfd interest() const;
  void serve(short events);

  // FunctionHost
  DmaPort& dma() override { return *port_; }
  const Clock& clock() const override { return server_.clock_; }
  bool raise(InterruptKind kind, std::uint32_t vector) override {
    return lines_.raise(kind, vector);
  }
  bool send_msi(Msi msi) override WEIR_EXCLUDES(socket_mutex_);
  void post(std::function<void()> work) override { server_.post(std::move(work)); }
  void post_after(Clock::Duration delay, std::function<void()> work) override {
    server_.post_after(delay, std::move(work));
  }

 private:
  // Messages taken in one turn, so that one client cannot keep the others waiting.
  static constexpr int kMessagesPerTurn = 64;

  int map(const DmaMap& what, FileDescriptor file, Settled& settled) override;
  int unmap(const DmaUnmap& what, Settled& settled) override;
  Settled unmap_all() override;
  Settled set_bus_master(bool on) override;
  Settled reset_requester() override;

  // False: the reply is still not due.
  bool reply_if_due();
  void receive();
  void disconnect();

  // Constant after construction.
  Server& server_;
  const DmaMaps::Client number_;
  const Requester requester_;
  const std::unique_ptr<DmaPort> port_;
  InterruptLines lines_;

  // The server's thread's.
  FileDescriptor listening_;
  std::string path_;
  Settled settled_;  // of the answer that is not due yet; of the end of a client
  Settled reset_;
  std::vector<std::byte> reply_;  // that waits for it
  std::uint16_t next_id_ = 0;

  // Relaxed everywhere: says only whether a message would be of use; the socket's own lock orders.
  std::atomic<bool> bus_master_{false};

  Mutex socket_mutex_;
  // Written by the server's thread under the lock, which may read it without.
  std::shared_ptr<Socket> socket_;

  // The last: it ends first, and may use all of the above until then.
  const std::unique_ptr<PciFunction> function_;
  Session session_;
};

}  // namespace weir::vfio_user
