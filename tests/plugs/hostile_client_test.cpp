// SPDX-License-Identifier: Apache-2.0
//
// A client that does everything wrong that it can. What it gets is an error, or the end of the
// conversation; the server goes on serving others, and nothing of it leaks.

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <random>

#include "tests/plugs/fixture.h"

namespace weir::vfio_user::test {
namespace {

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

class HostileClientTest : public ServerTest {
 protected:
  HostileClientTest() {
    add_functions(2);
    negotiate(0);
    negotiate(1);
  }
  // The other function's client is served, and so is this one if it is `alive`.
  void expect_serving(bool alive) {
    const auto info = Bytes().u32(16).u32(0).u32(0).u32(0);
    EXPECT_EQ(error_of(ask(1, kGetInfo, info)), 0);
    if (alive)
      EXPECT_EQ(error_of(ask(0, kGetInfo, info)), 0);
    else
      EXPECT_TRUE(clients[0].hung_up());
  }
  int error_for(std::uint16_t command, const Bytes& payload, std::span<const int> fds = {}) {
    return error_of(ask(0, command, payload, fds));
  }
};

TEST_F(HostileClientTest, AHeaderThatIsNoneEndsTheConversation) {
  for (const std::uint32_t size : {0u, 15u, 0x7fffffffu, 0xffffffffu, 16u + 16 + (1u << 20) + 1}) {
    FileDescriptor end;
    Client client = Client::pair(end);
    PlainFunction* made = nullptr;
    auto function = std::make_unique<PlainFunction>(&made);
    const auto device = static_cast<unsigned>(5 + size % 13);
    ASSERT_TRUE(server.add_connected({Requester::from_bdf(0, device, 0), {}}, std::move(function),
                                     std::move(end)));
    client.send_raw(Bytes().u16(1).u16(4).u32(size).u32(0).u32(0).get());
    run();
    EXPECT_TRUE(client.hung_up()) << size;
  }
  expect_serving(true);
}

// Found by the fuzzer: a first message that says nothing, or breaks off in the version.
TEST_F(HostileClientTest, AVersionThatIsNoneEndsTheConversation) {
  for (const std::uint32_t bytes : {0u, 1u, 3u}) {
    FileDescriptor end;
    Client client = Client::pair(end);
    PlainFunction* made = nullptr;
    auto function = std::make_unique<PlainFunction>(&made);
    ASSERT_TRUE(server.add_connected({Requester::from_bdf(0, 5 + bytes, 0), {}},
                                     std::move(function), std::move(end)));
    Bytes message;
    message.u16(1).u16(1).u32(16 + bytes).u32(0).u32(0);
    auto sent = message.get();
    sent.resize(16 + bytes);
    client.send_raw(sent);
    run();
    EXPECT_NE(error_of(client.receive()), 0) << bytes;
    EXPECT_TRUE(client.hung_up()) << bytes;
  }
  expect_serving(true);
}

TEST_F(HostileClientTest, MessagesMayComeInPieces) {
  Bytes whole;
  whole.u16(7).u16(kRegionRead).u32(32).u32(0).u32(0).u64(0).u32(0).u32(4);
  for (const std::byte byte : whole.get()) {
    EXPECT_FALSE(clients[0].receive());
    EXPECT_TRUE(clients[0].send_raw(std::span(&byte, 1)));
    run();
  }
  EXPECT_EQ(error_of(clients[0].receive()), 0);
  // And break off in the middle.
  EXPECT_TRUE(clients[0].send_raw(std::span(whole.get()).first(20)));
  run();
  clients[0].close();
  run();
  EXPECT_EQ(functions[0]->resets, 1);
  expect_serving(false);
}

TEST_F(HostileClientTest, UnknownCommandsAndOursAreRefused) {
  for (const std::uint16_t command :
       std::initializer_list<std::uint16_t>{0, 14, 15, 16, 17, 18, 100, 65535})
    EXPECT_EQ(error_for(command, Bytes().u64(0).u64(0)), ENOSYS) << command;
  EXPECT_EQ(error_for(6, Bytes().u64(0).u64(0)), ENOTSUP);
  for (const std::uint16_t command : {kVersion, kDmaRead, kDmaWrite})
    EXPECT_EQ(error_for(command, Bytes()), EINVAL);
  expect_serving(true);
}

TEST_F(HostileClientTest, PayloadsThatAreTooShortAreRefused) {
  const struct {
    std::uint16_t command;
    std::size_t bytes;
  } fixed[] = {{2, 32}, {3, 24}, {4, 16}, {5, 32}, {7, 16}, {8, 20}, {9, 16}, {10, 16}};
  for (const auto& [command, bytes] : fixed) {
    for (std::size_t length = 0; length < bytes; ++length) {
      Bytes payload;
      for (std::size_t i = 0; i < length; ++i) payload.u8(0xff);
      EXPECT_EQ(error_for(command, payload), EINVAL) << command << " " << length;
    }
  }
  // And those whose argsz is less than what they hold.
  EXPECT_EQ(error_for(kGetInfo, Bytes().u32(15).u32(0).u32(0).u32(0)), EINVAL);
  EXPECT_EQ(error_for(kDmaUnmap, Bytes().u32(0).u32(0).u64(0).u64(0)), EINVAL);
  EXPECT_EQ(error_for(kReset, Bytes().u8(0)), EINVAL);
  expect_serving(true);
}

TEST_F(HostileClientTest, IndexesOutOfRangeAreRefused) {
  for (const std::uint32_t index : {9u, 0x80000000u, 0xffffffffu})
    EXPECT_EQ(error_for(kRegionInfo, Bytes().u32(32).u32(0).u32(index).u32(0).u64(0).u64(0)),
              EINVAL);
  for (const std::uint32_t index : {3u, 4u, 0xffffffffu})
    EXPECT_EQ(error_for(kIrqInfo, Bytes().u32(16).u32(0).u32(index).u32(0)), EINVAL);
}

TEST_F(HostileClientTest, AccessesOutsideARegionAreRefused) {
  const struct {
    std::uint64_t offset;
    std::uint32_t region;
    std::uint32_t count;
  } wrong[] = {
      {4096, 0, 1},       {4095, 0, 2}, {0, 0, 4097}, {~0ull, 0, 1},   {~0ull, 0, 0xffffffff},
      {0, 0, 0xffffffff}, {0, 1, 1},    {0, 6, 4},    {0, 8, 4},       {0, 9, 4},
      {0, 0xffffffff, 4}, {256, 7, 1},  {255, 7, 2},  {0, 0, 1u << 21}};
  for (const auto& [offset, region, count] : wrong) {
    EXPECT_EQ(error_for(kRegionRead, Bytes().u64(offset).u32(region).u32(count)), EINVAL);
    Bytes write = Bytes().u64(offset).u32(region).u32(count);
    for (std::uint32_t i = 0; i < count && i < 8192; ++i) write.u8(1);
    EXPECT_EQ(error_for(kRegionWrite, write), EINVAL);
  }
  // A count that is not what came with it.
  EXPECT_EQ(error_for(kRegionWrite, Bytes().u64(0).u32(0).u32(8).u32(0)), EINVAL);
  EXPECT_EQ(error_for(kRegionWrite, Bytes().u64(0).u32(0).u32(2).u32(0)), EINVAL);
  EXPECT_EQ(error_for(kRegionRead, Bytes().u64(0).u32(0).u32(4).u32(0)), EINVAL);
  EXPECT_EQ(functions[0]->writes, 0);
  EXPECT_EQ(error_for(kRegionRead, Bytes().u64(4096).u32(0).u32(0)), 0);  // nothing of something
  expect_serving(true);
}

TEST_F(HostileClientTest, MapsThatAreNoneAreRefused) {
  const FileDescriptor file = make_memory(0x4000);
  EXPECT_EQ(map(0, file, 0x1000, 0), EINVAL);
  EXPECT_EQ(map(0, file, 0x1000, 0x800), EINVAL);
  EXPECT_EQ(map(0, file, 0x1001, 0x1000), EINVAL);
  EXPECT_EQ(map(0, file, 0x1000, 0x1000, 0x10), EINVAL);
  EXPECT_EQ(map(0, file, 0xfffffffffffff000, 0x2000), EINVAL);  // wraps
  EXPECT_EQ(map(0, file, 0, 0xfffffffffffff000), EINVAL);       // beyond the file
  EXPECT_EQ(map(0, file, 0, 0x5000), EINVAL);
  EXPECT_EQ(map(0, file, 0, 0x1000, 0x4000), EINVAL);
  EXPECT_EQ(map(0, file, 0, 0x2000, 0xfffffffffffff000), EINVAL);
  EXPECT_EQ(map(0, file, 0, 0x1000, 0, 0), EINVAL);  // neither readable nor writable
  EXPECT_EQ(map(0, file, 0, 0x1000, 0, 7), EINVAL);  // a flag nobody knows
  const int two[] = {file.get(), file.get()};
  EXPECT_EQ(error_for(kDmaMap, map_message(0, 0x1000), two), EINVAL);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const FileDescriptor reader(ends[0]), writer(ends[1]);
  EXPECT_EQ(map(0, reader, 0, 0x1000), EINVAL);  // no bytes in it
  EXPECT_EQ(unmap(0, 0, 0x1000), ENOENT);
  EXPECT_EQ(unmap(0, 0, 0, 4), EINVAL);
  EXPECT_EQ(unmap(0, 0, 0x1000, 2), EINVAL);  // of all, and yet of one
  // At the very end of the space there is room.
  EXPECT_EQ(map(0, file, 0xfffffffffffff000, 0x1000), 0);
  EXPECT_EQ(unmap(0, 0xfffffffffffff000, 0x1000), 0);
  expect_serving(true);
}

TEST_F(HostileClientTest, AFileThatCouldShrinkIsRefusedUnlessItIsTrusted) {
  const FileDescriptor unsealed = make_memory(0x1000, false);
  EXPECT_EQ(map(0, unsealed, 0, 0x1000), EPERM);
  const FileDescriptor sealed = make_memory(0x1000);
  EXPECT_EQ(map(0, sealed, 0, 0x1000), 0);
  EXPECT_NE(::ftruncate(sealed.get(), 0), 0);  // the seal holds: no SIGBUS to be had
  set_bus_master(0, true);
  EXPECT_TRUE(can_write(0, 0));

  DmaMaps trusting(UnsealedFiles::kAccept);
  const DmaMap what{.argsz = 32, .flags = 3, .offset = 0, .address = 0, .size = 0x1000};
  EXPECT_EQ(trusting.map(0, what, FileDescriptor(::dup(unsealed.get()))), 0);
}

TEST_F(HostileClientTest, MapsAreCounted) {
  for (std::uint64_t i = 0; i < DmaMaps::kMostMaps; ++i) {
    ASSERT_TRUE(clients[0].send(kDmaMap, map_message(i << 13, 0x1000)));
    server.run_once(Clock::Duration::zero());
    ASSERT_EQ(error_of(clients[0].receive()), 0);
  }
  EXPECT_EQ(map(0, {}, 1ull << 40, 0x1000), ENOSPC);
  EXPECT_EQ(map(1, {}, 1ull << 40, 0x1000), 0);  // each client has its own
  EXPECT_EQ(unmap(0, 0, 0, 2), 0);
  EXPECT_EQ(map(0, {}, 1ull << 40, 0x1000), 0);
}

TEST_F(HostileClientTest, InterruptSetupsThatAreNoneAreRefused) {
  const FileDescriptor event(::eventfd(0, EFD_NONBLOCK));
  const FileDescriptor file = make_memory(0x1000);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const FileDescriptor reader(ends[0]), writer(ends[1]);
  const int good = event.get();
  const int bad[] = {file.get(), writer.get()};
  const auto set = [&](std::uint32_t flags, std::uint32_t index, std::uint32_t start,
                       std::uint32_t count, std::vector<int> fds, std::uint32_t argsz = 20) {
    return error_for(kSetIrqs, Bytes().u32(argsz).u32(flags).u32(index).u32(start).u32(count), fds);
  };
  for (const std::uint32_t flags : {0u, 4u, 0x20u, 0x23u, 0x25u, 0x26u, 0x34u, 0x64u, 0xffffffffu})
    EXPECT_EQ(set(flags, 2, 0, 1, {}), EINVAL) << flags;
  EXPECT_EQ(set(0x0c, 2, 0, 1, {}), EINVAL);  // nothing can be masked
  EXPECT_EQ(set(0x14, 2, 0, 1, {}), EINVAL);
  EXPECT_EQ(set(0x24, 2, 0, 3, {good, good, good}), EINVAL);
  EXPECT_EQ(set(0x24, 2, 2, 1, {good}), EINVAL);
  EXPECT_EQ(set(0x24, 2, 1, 0xffffffff, {good}), EINVAL);
  EXPECT_EQ(set(0x24, 2, 0xffffffff, 2, {good}), EINVAL);
  EXPECT_EQ(set(0x24, 2, 0, 2, {good}), EINVAL);  // one descriptor for two
  EXPECT_EQ(set(0x24, 1, 0, 1, {good}), EINVAL);  // no MSI
  EXPECT_EQ(set(0x24, 3, 0, 0, {}), EINVAL);
  EXPECT_EQ(set(0x24, 0xffffffff, 0, 1, {good}), EINVAL);
  EXPECT_EQ(set(0x21, 2, 0, 1, {good}), EINVAL);  // no data, and yet some
  EXPECT_EQ(set(0x22, 2, 0, 2, {}), EINVAL);      // booleans that are not there
  EXPECT_EQ(set(0x24, 2, 0, 1, {good}, 19), EINVAL);
  for (const int one : bad) EXPECT_EQ(set(0x24, 2, 0, 1, {one}), EINVAL);
  // What a refused one brought has not been wired.
  EXPECT_FALSE(functions[0]->host->raise(InterruptKind::kMsix, 0));
  EXPECT_EQ(set(0x24, 2, 0, 1, {good}), 0);
  expect_serving(true);
}

TEST_F(HostileClientTest, AnEventfdThatIsFullHoldsNobodyUp) {
  const FileDescriptor event(::eventfd(0, 0));  // blocking
  const int fd = event.get();
  EXPECT_EQ(error_for(kSetIrqs, Bytes().u32(20).u32(0x24).u32(2).u32(0).u32(1), std::span(&fd, 1)),
            0);
  const std::uint64_t most = ~std::uint64_t{0} - 1;
  ASSERT_EQ(::write(event.get(), &most, sizeof most), 8);
  EXPECT_TRUE(functions[0]->host->raise(InterruptKind::kMsix, 0));
}

TEST_F(HostileClientTest, DescriptorsThatNobodyAskedForAreClosed) {
  const FileDescriptor file = make_memory(0x1000);
  std::vector<int> fds(16, file.get());
  const std::size_t before = open_descriptors();
  for (std::uint16_t command = 0; command < 20; ++command)
    EXPECT_GT(error_for(command, Bytes().u64(16).u64(0), fds), 0) << command;
  EXPECT_EQ(open_descriptors(), before);
  expect_serving(true);
  // More than a message may have; the kernel sends up to 253.
  fds.resize(100, file.get());
  EXPECT_TRUE(clients[0].send(kDmaMap, map_message(0, 0x1000), fds));
  run();
  expect_serving(false);
  EXPECT_LE(open_descriptors(), before);
}

TEST_F(HostileClientTest, PostedMessagesAreNotRepliedToEvenWhenTheyAreWrong) {
  EXPECT_TRUE(clients[0].send(99, Bytes(), {}, kNoReply));
  EXPECT_TRUE(clients[0].send(kRegionWrite, Bytes().u64(~0ull).u32(0).u32(1).u8(0), {}, kNoReply));
  EXPECT_TRUE(clients[0].send(kDmaWrite, Bytes().u64(0).u64(0), {}, 1));  // a reply nobody awaits
  EXPECT_TRUE(clients[0].send(kGetInfo, Bytes().u32(16).u32(0).u32(0).u32(0), {}, 0xf));
  run();
  EXPECT_FALSE(clients[0].receive());
  expect_serving(true);
}

TEST_F(HostileClientTest, AClientThatDoesNotReadIsLetGo) {
  const int small = 4096;
  ::setsockopt(clients[0].fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  for (int i = 0; i < 20000 && server.connected() == 2; ++i) {
    clients[0].send(kRegionRead, Bytes().u64(0).u32(0).u32(4096));
    server.run_once(Clock::Duration::zero());
  }
  EXPECT_EQ(server.connected(), 1u);
  EXPECT_EQ(error_of(ask(1, kGetInfo, Bytes().u32(16).u32(0).u32(0).u32(0))), 0);
}

TEST_F(HostileClientTest, AnythingAtAllIsSurvived) {
  const FileDescriptor file = make_memory(0x10000);
  const FileDescriptor event(::eventfd(0, EFD_NONBLOCK));
  const std::size_t before = open_descriptors();
  std::mt19937_64 random(1);
  const auto any = [&](std::uint64_t below) { return random() % below; };
  const std::uint64_t odd[] = {0,     1,          2,        16,     20,         24,
                               32,    0x1000,     0x2000,   0x24,   0x21,       0xffffffff,
                               ~0ull, 1ull << 63, 0x100000, 0x4000, 0xfffff000, ~0xfffull};
  for (int round = 0; round < 20000; ++round) {
    Bytes payload;
    const auto words = any(6);
    for (std::uint64_t i = 0; i < words; ++i) {
      const std::uint64_t word = any(4) == 0 ? random() : odd[any(std::size(odd))];
      if (any(2) == 0)
        payload.u64(word);
      else
        payload.u32(static_cast<std::uint32_t>(word));
    }
    std::vector<int> fds;
    while (any(4) == 0 && fds.size() < 16) fds.push_back(any(2) == 0 ? file.get() : event.get());
    clients[0].send(static_cast<std::uint16_t>(any(16)), payload, fds, any(8) == 0 ? kNoReply : 0);
    server.run_once(Clock::Duration::zero());
    while (clients[0].receive()) {
    }
    std::uint32_t word = 0;
    (void)port(0).read(Iova(odd[any(std::size(odd))]), std::as_writable_bytes(std::span(&word, 1)));
  }
  run();
  clients[0].close();
  run();
  EXPECT_EQ(open_descriptors(), before - 2);  // both ends of the connection
  expect_serving(false);
}

}  // namespace
}  // namespace weir::vfio_user::test
