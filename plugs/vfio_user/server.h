// SPDX-License-Identifier: Apache-2.0
//
// Start here. Serves PCI functions that sit behind an Iommu to a VMM over vfio-user, one socket
// each: the client's DMA maps become the Iommu's memory, its unmaps are host-map changes that are
// answered when they are complete (L7), and each function's DMA goes through its DmaPort.
//
//   Iommu iommu({.memory = Server::no_memory(), .clock = &clock, .sinks = …});
//   … tables, units …
//   Server server(iommu, clock, {});
//   server.add({.requester = Requester::from_bdf(0, 4, 0), .socket = "blk.sock"}, std::move(disk));
//   while (going_on) server.run_once(100ms);
//
// All functions of one server belong to one machine: their clients are expected to share the same
// memory. A client that goes away takes its maps with it and leaves its function reset; the next
// one may connect to the same socket.
//
// One thread runs the server and everything that functions do in their calls. It never waits for a
// pin, a client or a reply, so it may itself be the one that releases what a completion waits for.
// post(), post_after() and wake() from any thread. Nothing throws but std::bad_alloc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/guest_memory.h"
#include "base/mutex.h"
#include "base/result.h"
#include "iommu/iommu.h"
#include "plugs/vfio_user/dma_maps.h"
#include "plugs/vfio_user/file_descriptor.h"
#include "plugs/vfio_user/pci_function.h"

namespace weir::vfio_user {

struct ServerOptions {
  UnsealedFiles unsealed = UnsealedFiles::kRefuse;
};

struct FunctionOptions {
  Requester requester;
  std::string socket;  // path
};

class Server {
 public:
  // What an Iommu has before any client has come.
  [[nodiscard]] static std::shared_ptr<const GuestMemory> no_memory();

  // Both must outlive the server. `clock` is also the Iommu's.
  Server(Iommu& iommu, const Clock& clock, const ServerOptions& options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Attaches the function to the Iommu, starts it, and listens. The server owns it; with the server
  // it ends before its DmaPort does. Refuses in one sentence.
  [[nodiscard]] Result<Done, std::string> add(const FunctionOptions& options,
                                              std::unique_ptr<PciFunction> function);
  // As add, with a client that is connected already.
  [[nodiscard]] Result<Done, std::string> add_connected(const FunctionOptions& options,
                                                        std::unique_ptr<PciFunction> function,
                                                        FileDescriptor connection);

  // Does what there is to do: messages, posted work, replies that became due. Waits for it at most
  // so long of real time.
  void run_once(Clock::Duration at_most);
  // Ends the wait of run_once.
  void wake();

  // Resets every function but one, as their clients could; asked by who resets the machine. The
  // server's thread.
  void reset_functions_but(Requester requester);
  [[nodiscard]] bool reset_settled() const;

  // The host of a function that was added; null: no such function. Any thread.
  [[nodiscard]] FunctionHost* host_of(Requester requester) const;
  // How many clients are connected.
  [[nodiscard]] std::size_t connected() const;

  void post(std::function<void()> work) { post_after(Clock::Duration::zero(), std::move(work)); }
  void post_after(Clock::Duration delay, std::function<void()> work) WEIR_EXCLUDES(mutex_);

 private:
  class Endpoint;
  struct Due {
    Clock::Duration at;
    std::uint64_t serial;
    std::function<void()> work;
  };

  void run_posted() WEIR_EXCLUDES(mutex_);
  [[nodiscard]] int wait_milliseconds(Clock::Duration at_most) const WEIR_EXCLUDES(mutex_);
  [[nodiscard]] Change publish() { return iommu_.change_memory(maps_.memory()); }

  // Constant after construction.
  Iommu& iommu_;
  const Clock& clock_;
  FileDescriptor wake_;

  // The server's thread's.
  DmaMaps maps_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;  // constant once it runs

  mutable Mutex mutex_;
  std::vector<Due> posted_ WEIR_GUARDED_BY(mutex_);  // a heap, the earliest first
  std::uint64_t next_serial_ WEIR_GUARDED_BY(mutex_) = 0;
};

}  // namespace weir::vfio_user
