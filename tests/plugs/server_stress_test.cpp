// SPDX-License-Identifier: Apache-2.0
//
// A client that shares its memory and takes it back, while devices with threads of their own write
// there as fast as they can, interrupt, post work and send messages. Once an unmap has been replied
// to, not a byte of it changes any more (L7); and everything of FunctionHost is for any thread.

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "tests/plugs/fixture.h"

namespace weir::vfio_user::test {
namespace {

class ServerStress : public ServerTest {
 protected:
  // From here on another thread runs the server.
  std::optional<Reply> wait_for_reply(Client& client) {
    // Not by count: each message of a function wakes it, too.
    while (!client.hung_up()) {
      while (auto reply = client.receive())
        if ((reply->flags & 0xf) == 1) return reply;  // messages of the functions' own go by
      pollfd readable{.fd = client.fd(), .events = POLLIN, .revents = 0};
      ::poll(&readable, 1, 1000);
    }
    return std::nullopt;
  }
  int ask_and_wait(Client& client, std::uint16_t command, const Bytes& payload,
                   std::span<const int> fds = {}) {
    EXPECT_TRUE(client.send(command, payload, fds));
    return error_of(wait_for_reply(client));
  }
};

TEST_F(ServerStress, NothingIsTouchedOnceAnUnmapHasBeenRepliedTo) {
  constexpr std::uint64_t kBytes = 0x4000, kAt = 0x100000;
  add_functions(2);
  const FileDescriptor file = make_memory(kBytes);
  negotiate(0);
  negotiate(1);
  set_bus_master(0, true);
  set_bus_master(1, true);

  std::atomic<bool> stop{false};  // sequentially consistent, all of them: plain flags of a test
  std::atomic<std::uint64_t> landed{0};
  std::atomic<int> posted{0};
  std::jthread serving([&] {
    while (!stop) server.run_once(std::chrono::milliseconds(1));
  });
  std::vector<std::jthread> devices;
  for (unsigned d = 0; d < 2; ++d) {
    devices.emplace_back([&, d] {
      FunctionHost& host = *functions[d]->host;
      for (std::uint64_t word = 1; !stop; ++word) {
        // Pages of its own, so that only the client could be disturbed.
        const std::uint64_t at = kAt + d * kBytes / 2 + word * 8 % (kBytes / 2);
        if (word % 16 == 0) {
          // Held for a while, and let go on this thread.
          if (auto pin = host.dma().map(Iova(at & ~0xfffull), 0x1000, Access::kWrite))
            std::memcpy(pin->spans()[0].host, &word, sizeof word);
        } else if (host.dma().write(Iova(at), std::as_bytes(std::span(&word, 1)))) {
          ++landed;
        }
        if (word % 1024 == 0) {
          host.raise(InterruptKind::kMsix, 0);
          host.send_msi({.address = 0xfee00000, .data = d});
          host.post([&] { ++posted; });
        }
      }
    });
  }

  const struct AtEnd {
    std::atomic<bool>& stop;
    ~AtEnd() { stop = true; }  // before the threads are joined, however this ends
  } at_end{stop};

  const int rounds = std::getenv("WEIR_LONG") != nullptr ? 2000 : 200;
  for (int round = 0; round < rounds; ++round) {
    Client& client = clients[static_cast<std::size_t>(round) % 2];
    const int fd = file.get();
    ASSERT_EQ(ask_and_wait(client, kDmaMap, map_message(kAt, kBytes), std::span(&fd, 1)), 0);
    const std::uint64_t before = landed;
    for (int i = 0; i < 1000 && landed < before + 20; ++i) std::this_thread::yield();
    ASSERT_EQ(ask_and_wait(client, kDmaUnmap, unmap_message(kAt, kBytes)), 0);
    std::array<std::byte, kBytes> then{}, later{};
    ASSERT_EQ(::pread(fd, then.data(), kBytes, 0), static_cast<ssize_t>(kBytes));
    // As long as it takes the server to answer something else.
    ASSERT_EQ(ask_and_wait(client, kGetInfo, Bytes().u32(16).u32(0).u32(0).u32(0)), 0);
    ASSERT_EQ(::pread(fd, later.data(), kBytes, 0), static_cast<ssize_t>(kBytes));
    ASSERT_EQ(std::memcmp(then.data(), later.data(), kBytes), 0) << "round " << round;
  }
  EXPECT_GT(landed, 0u);
  EXPECT_GT(posted, 0);
}

}  // namespace
}  // namespace weir::vfio_user::test
