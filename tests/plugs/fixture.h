// SPDX-License-Identifier: Apache-2.0
//
// A server with plain functions and clients over socketpairs, on one thread.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <memory>
#include <vector>

#include "plugs/vfio_user/server.h"
#include "tests/plugs/client.h"

namespace weir::vfio_user::test {

// 4 KiB of plain registers in BAR 0, two MSI-X vectors, and a memory of what was done to it.
class PlainFunction final : public PciFunction {
 public:
  explicit PlainFunction(PlainFunction** self) : config_({.vendor = 0x1234, .device = 0x5678}) {
    *self = this;
    config_.add_bar(0, registers.size());
    config_.add_msix(2, 1, 0, 0x800);
  }

  void start(FunctionHost& to) override { host = &to; }
  std::uint64_t bar_size(unsigned bar) const override { return bar == 0 ? registers.size() : 0; }
  InterruptCounts interrupts() const override { return {.msix = 2}; }
  void read_bar(unsigned, std::uint64_t offset, std::span<std::byte> to) override {
    std::memcpy(to.data(), registers.data() + offset, to.size());
  }
  void write_bar(unsigned, std::uint64_t offset, std::span<const std::byte> from) override {
    ++writes;
    std::memcpy(registers.data() + offset, from.data(), from.size());
  }
  ConfigSpace& config() override { return config_; }
  void bus_master_changed(bool on) override { bus_master = on; }
  void reset() override {
    ++resets;
    config_.reset();
    if (release_on_reset) pin.release();
  }
  bool reset_settled() override { return !slow_reset; }

  FunctionHost* host = nullptr;
  std::array<std::byte, 4096> registers{};
  int writes = 0;
  int resets = 0;
  bool bus_master = false;
  bool slow_reset = false;
  bool release_on_reset = true;
  Pin pin;

 private:
  ConfigSpace config_;
};

class ServerTest : public testing::Test {
 protected:
  static constexpr std::uint32_t kNoReply = 0x10;
  static constexpr std::uint16_t kVersion = 1, kDmaMap = 2, kDmaUnmap = 3, kGetInfo = 4,
                                 kRegionInfo = 5, kIrqInfo = 7, kSetIrqs = 8, kRegionRead = 9,
                                 kRegionWrite = 10, kDmaRead = 11, kDmaWrite = 12, kReset = 13;

  // Function n is 00:04.n.
  void add_functions(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      FileDescriptor end;
      clients.push_back(Client::pair(end));
      PlainFunction* made = nullptr;
      auto function = std::make_unique<PlainFunction>(&made);
      ASSERT_TRUE(server.add_connected({.requester = Requester::from_bdf(0, 4, i), .socket = {}},
                                       std::move(function), std::move(end)));
      functions.push_back(made);
    }
  }

  // Until nothing more happens.
  void run() {
    for (int i = 0; i < 20; ++i) server.run_once(Clock::Duration::zero());
  }
  std::optional<Reply> ask(unsigned client, std::uint16_t command, const Bytes& payload,
                           std::span<const int> fds = {}) {
    EXPECT_TRUE(clients[client].send(command, payload, fds));
    run();
    return clients[client].receive();
  }
  // What went wrong; 0: a good reply. -1: no reply.
  int error_of(const std::optional<Reply>& reply) {
    if (!reply) return -1;
    return (reply->flags & 0x20) != 0 ? static_cast<int>(reply->error) : 0;
  }

  void negotiate(unsigned client) {
    const auto reply = ask(client, kVersion, Bytes().u16(0).u16(0).text(R"({"capabilities":{}})"));
    ASSERT_EQ(error_of(reply), 0);
  }
  static Bytes map_message(std::uint64_t address, std::uint64_t size, std::uint64_t offset = 0,
                           std::uint32_t flags = 3) {
    return Bytes().u32(32).u32(flags).u64(offset).u64(address).u64(size);
  }
  static Bytes unmap_message(std::uint64_t address, std::uint64_t size, std::uint32_t flags = 0) {
    return Bytes().u32(24).u32(flags).u64(address).u64(size);
  }
  int map(unsigned client, const FileDescriptor& file, std::uint64_t address, std::uint64_t size,
          std::uint64_t offset = 0, std::uint32_t flags = 3) {
    const int fd = file.get();
    return error_of(ask(client, kDmaMap, map_message(address, size, offset, flags),
                        fd < 0 ? std::span<const int>() : std::span(&fd, 1)));
  }
  int unmap(unsigned client, std::uint64_t address, std::uint64_t size, std::uint32_t flags = 0) {
    return error_of(ask(client, kDmaUnmap, unmap_message(address, size, flags)));
  }
  void set_bus_master(unsigned client, bool on) {
    const auto reply =
        ask(client, kRegionWrite,
            Bytes().u64(4).u32(7).u32(2).u16(static_cast<std::uint16_t>(on ? 6 : 2)));
    EXPECT_EQ(error_of(reply), 0);
  }
  // A client that has said hello, shared `file` at 1 MiB and switched bus mastering on.
  void bring_up(unsigned client, const FileDescriptor& file, std::uint64_t size) {
    negotiate(client);
    EXPECT_EQ(map(client, file, 0x100000, size), 0);
    set_bus_master(client, true);
  }

  DmaPort& port(unsigned function) { return functions[function]->host->dma(); }
  bool can_write(unsigned function, std::uint64_t at, std::uint32_t word = 0x5a5a5a5a) {
    return port(function).write(Iova(at), std::as_bytes(std::span(&word, 1))).ok();
  }
  static std::uint32_t word_in(const FileDescriptor& file, std::uint64_t at) {
    std::uint32_t word = 0;
    EXPECT_EQ(::pread(file.get(), &word, sizeof word, static_cast<off_t>(at)), 4);
    return word;
  }

  ManualClock clock;
  Iommu iommu{{.memory = Server::no_memory(), .clock = &clock}};
  Server server{iommu, clock, {}};
  std::vector<Client> clients;
  std::vector<PlainFunction*> functions;
};

}  // namespace weir::vfio_user::test
