// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a vfio-user client, from the first one on: taken apart into messages and carried out
// against a function. Descriptors cannot be in the input; where a first byte of
// a chunk says so, the bytes that follow come with one (memory, or an eventfd). After each input,
// what was mapped is gone and nothing has been reached that was not given.
//
// Input: chunks of one byte (length in bits 5:0, descriptor in 7:6) and so many bytes.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "plugs/vfio_user/dma_maps.h"
#include "plugs/vfio_user/message.h"
#include "plugs/vfio_user/session.h"

namespace weir::vfio_user {
namespace {

class Host final : public SessionHost {
 public:
  int map(const DmaMap& what, FileDescriptor file, Settled& /*settled*/) override {
    return maps_.map(0, what, std::move(file));
  }
  int unmap(const DmaUnmap& what, Settled& /*settled*/) override {
    return maps_.unmap(0, what.address, what.size);
  }
  Settled unmap_all() override {
    maps_.unmap_all(0);
    return {};
  }
  Settled set_bus_master(bool /*on*/) override { return {}; }
  Settled reset_requester() override { return {}; }

  void touch() {
    const auto memory = maps_.memory();
    std::array<std::byte, 8> bytes{};
    for (const MemoryRegion& region : memory->regions()) {
      (void)memory->read(region.first, bytes);
      (void)memory->write(region.first + (region.size - bytes.size()), bytes);
    }
  }
  [[nodiscard]] bool empty() const { return maps_.size(0) == 0; }

 private:
  DmaMaps maps_{UnsealedFiles::kRefuse};
};

// Plain memory in BAR 0.
class Registers final : public PciFunction {
 public:
  Registers() : config_({.vendor = 1, .device = 2}) {
    config_.add_bar(0, 0x1000);
    config_.add_msix(3, 0, 0x400, 0x800);
    config_.add_msi();
  }
  void start(FunctionHost& /*host*/) override {}
  std::uint64_t bar_size(unsigned bar) const override { return bar == 0 ? bytes_.size() : 0; }
  InterruptCounts interrupts() const override { return {.msi = 1, .msix = 3}; }
  void read_bar(unsigned, std::uint64_t offset, std::span<std::byte> to) override {
    std::ranges::copy(std::span(bytes_).subspan(offset, to.size()), to.begin());
  }
  void write_bar(unsigned, std::uint64_t offset, std::span<const std::byte> from) override {
    std::ranges::copy(from, bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  ConfigSpace& config() override { return config_; }
  void reset() override { config_.reset(); }

 private:
  ConfigSpace config_;
  std::array<std::byte, 0x1000> bytes_{};
};

[[nodiscard]] std::vector<FileDescriptor> descriptor(unsigned kind) {
  static const int memory = [] {
    const int fd = ::memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (::ftruncate(fd, 0x10000) != 0 || ::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0) std::abort();
    return fd;
  }();
  std::vector<FileDescriptor> fds;
  if ((kind & 1) != 0) fds.emplace_back(::dup(memory));
  if ((kind & 2) != 0) fds.emplace_back(::eventfd(0, EFD_CLOEXEC));
  return fds;
}

void run(std::span<const std::uint8_t> input) {
  Registers function;
  InterruptLines lines(function.interrupts());
  Host host;
  Session session(function, lines, host);
  MessageReader reader;
  while (!input.empty() && !reader.broken()) {
    const unsigned kind = input[0] >> 6;
    auto chunk = input.subspan(1, std::min<std::size_t>(input[0] & 0x3f, input.size() - 1));
    input = input.subspan(1 + chunk.size());
    auto fds = descriptor(kind);
    while (!chunk.empty() && !reader.broken()) {
      const auto room = reader.room();
      const std::size_t count = std::min(room.size(), chunk.size());
      if (room.empty()) std::abort();
      std::ranges::copy(std::as_bytes(chunk.first(count)), room.begin());
      chunk = chunk.subspan(count);
      reader.received(count, std::exchange(fds, {}));
      if (!reader.complete()) continue;
      const auto answer = session.handle(reader.take());
      if (answer.reply.size() > kMostMessage) std::abort();
      lines.raise(InterruptKind::kMsix, 1);
      host.touch();
      if (answer.end) return;
    }
  }
  (void)session.end();
  if (!host.empty()) std::abort();
}

}  // namespace
}  // namespace weir::vfio_user

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weir::vfio_user::run({data, size});
  return 0;
}
