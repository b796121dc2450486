// SPDX-License-Identifier: Apache-2.0
//
// What a client asks of the server and gets: the messages of the vfio-user specification one by
// one, its memory as the host map, interrupts, reset, several functions, coming back.

#include <gmock/gmock.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "tests/plugs/fixture.h"

namespace weir::vfio_user::test {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string text_of(const Reply& reply, std::size_t from) {
  return {reinterpret_cast<const char*>(reply.payload.data()) + from,
          reply.payload.size() - from - 1};
}
std::uint64_t count_of(const FileDescriptor& eventfd) {
  std::uint64_t count = 0;
  return ::read(eventfd.get(), &count, sizeof count) == sizeof count ? count : 0;
}

TEST_F(ServerTest, VersionIsAgreedOn) {
  add_functions(1);
  // What QEMU 11.1 proposes.
  const auto reply =
      ask(0, kVersion,
          Bytes().u16(0).u16(0).text(R"({"capabilities":{"pgsizes":4096,"max_msg_fds":16,)"
                                     R"("max_dma_maps":65535,"max_data_xfer_size":1048576,)"
                                     R"("migration":{"pgsize":4096},"write_multiple":true}})"));
  ASSERT_EQ(error_of(reply), 0);
  EXPECT_EQ(reply->id, 100);
  EXPECT_EQ(reply->command, 1);
  EXPECT_EQ(reply->flags, 1u);
  EXPECT_EQ(reply->at<std::uint32_t>(0), 0u);
  EXPECT_EQ(reply->payload.back(), std::byte{0});
  const std::string capabilities = text_of(*reply, 4);
  EXPECT_THAT(capabilities, HasSubstr(R"("max_data_xfer_size":1048576)"));
  EXPECT_THAT(capabilities, Not(HasSubstr("write_multiple")));
}

TEST_F(ServerTest, ANewerMajorIsRefusedAndASilentVersionIsNot) {
  add_functions(2);
  EXPECT_EQ(error_of(ask(0, kVersion, Bytes().u16(1).u16(0).text("{}"))), ENOTSUP);
  EXPECT_TRUE(clients[0].hung_up());
  EXPECT_EQ(error_of(ask(1, kVersion, Bytes().u16(0).u16(3))), 0);
}

TEST_F(ServerTest, NothingIsSaidBeforeTheVersion) {
  add_functions(1);
  EXPECT_EQ(error_of(ask(0, kGetInfo, Bytes().u32(16).u32(0).u32(0).u32(0))), EINVAL);
  EXPECT_TRUE(clients[0].hung_up());
}

TEST_F(ServerTest, DeviceRegionsAndInterruptsAreDescribed) {
  add_functions(1);
  negotiate(0);
  const auto device = ask(0, kGetInfo, Bytes().u32(16).u32(0).u32(0).u32(0));
  ASSERT_EQ(error_of(device), 0);
  EXPECT_EQ(device->at<std::uint32_t>(0), 16u);
  EXPECT_EQ(device->at<std::uint32_t>(4), 3u);  // reset, PCI
  EXPECT_EQ(device->at<std::uint32_t>(8), 9u);

  const std::uint64_t sizes[] = {4096, 0, 0, 0, 0, 0, 0, 256, 0};
  for (std::uint32_t region = 0; region < 9; ++region) {
    const auto info = ask(0, kRegionInfo, Bytes().u32(32).u32(0).u32(region).u32(0).u64(0).u64(0));
    ASSERT_EQ(error_of(info), 0);
    EXPECT_EQ(info->payload.size(), 32u);
    EXPECT_EQ(info->at<std::uint32_t>(8), region);
    EXPECT_EQ(info->at<std::uint64_t>(16), sizes[region]) << region;
    EXPECT_EQ(info->at<std::uint32_t>(4), sizes[region] == 0 ? 0u : 3u);  // never MMAP
  }
  const auto msix = ask(0, kIrqInfo, Bytes().u32(16).u32(0).u32(2).u32(0));
  ASSERT_EQ(error_of(msix), 0);
  EXPECT_EQ(msix->at<std::uint32_t>(4), 1u);  // eventfd
  EXPECT_EQ(msix->at<std::uint32_t>(12), 2u);
  const auto intx = ask(0, kIrqInfo, Bytes().u32(16).u32(0).u32(0).u32(0));
  EXPECT_EQ(intx->at<std::uint32_t>(12), 0u);
}

TEST_F(ServerTest, RegionsAreReadAndWrittenAndPostedWritesKeepTheirOrder) {
  add_functions(1);
  negotiate(0);
  const auto written =
      ask(0, kRegionWrite, Bytes().u64(0x20).u32(0).u32(8).u64(0x1122334455667788));
  ASSERT_EQ(error_of(written), 0);
  EXPECT_EQ(written->payload.size(), 16u);
  EXPECT_EQ(written->at<std::uint32_t>(12), 8u);
  // Posted: no reply, and the read behind it sees it.
  ASSERT_TRUE(
      clients[0].send(kRegionWrite, Bytes().u64(0x24).u32(0).u32(2).u16(0xabcd), {}, kNoReply));
  const auto read = ask(0, kRegionRead, Bytes().u64(0x20).u32(0).u32(8));
  ASSERT_EQ(error_of(read), 0);
  EXPECT_EQ(read->command, kRegionRead);
  EXPECT_EQ(read->at<std::uint64_t>(16), 0x1122abcd55667788u);
  EXPECT_EQ(functions[0]->writes, 2);
  EXPECT_FALSE(clients[0].receive());
}

TEST_F(ServerTest, TheClientsMemoryIsTheHostMap) {
  add_functions(1);
  const FileDescriptor file = make_memory(0x4000);
  negotiate(0);
  set_bus_master(0, true);
  EXPECT_FALSE(can_write(0, 0x100000));
  EXPECT_EQ(map(0, file, 0x100000, 0x2000, 0x1000), 0);
  EXPECT_TRUE(can_write(0, 0x100ffc, 0x11223344));
  EXPECT_EQ(word_in(file, 0x1ffc), 0x11223344u);
  EXPECT_FALSE(can_write(0, 0x102000));
  EXPECT_EQ(map(0, file, 0x100000, 0x1000), EEXIST);
  EXPECT_EQ(map(0, file, 0x101000, 0x1000), EEXIST);
  EXPECT_EQ(unmap(0, 0x100000, 0x1000), ENOENT);  // not exactly what was mapped
  const auto reply = ask(0, kDmaUnmap, unmap_message(0x100000, 0x2000));
  ASSERT_EQ(error_of(reply), 0);
  EXPECT_EQ(reply->at<std::uint64_t>(8), 0x100000u);  // the request again
  EXPECT_EQ(reply->at<std::uint64_t>(16), 0x2000u);
  EXPECT_FALSE(can_write(0, 0x100ffc));
}

TEST_F(ServerTest, RomIsThereAndRefusesAndReadOnlyMemoryIsReadOnly) {
  add_functions(1);
  const FileDescriptor file = make_memory(0x1000);
  negotiate(0);
  set_bus_master(0, true);
  EXPECT_EQ(map(0, {}, 0xe0000, 0x20000), 0);        // without a file
  EXPECT_EQ(map(0, file, 0x1000, 0x1000, 0, 1), 0);  // readable
  std::uint32_t word = 0;
  const auto to = std::as_writable_bytes(std::span(&word, 1));
  EXPECT_FALSE(port(0).read(Iova(0xe0000), to));
  EXPECT_FALSE(can_write(0, 0xe0000));
  EXPECT_TRUE(port(0).read(Iova(0x1000), to));
  EXPECT_FALSE(can_write(0, 0x1000));
  EXPECT_EQ(unmap(0, 0xe0000, 0x20000), 0);
}

TEST_F(ServerTest, BusMasterGatesTheSharedMemory) {
  add_functions(1);
  const FileDescriptor file = make_memory(0x1000);
  negotiate(0);
  EXPECT_EQ(map(0, file, 0, 0x1000), 0);
  EXPECT_FALSE(can_write(0, 0));
  set_bus_master(0, true);
  EXPECT_TRUE(functions[0]->bus_master);
  EXPECT_TRUE(can_write(0, 0));
  set_bus_master(0, false);
  EXPECT_FALSE(functions[0]->bus_master);
  EXPECT_FALSE(can_write(0, 0));
}

TEST_F(ServerTest, UnmapWaitsForWhatIsInUseAndTheOtherSocketDoesNot) {
  add_functions(2);
  const FileDescriptor file = make_memory(0x4000);
  bring_up(0, file, 0x4000);
  negotiate(1);
  functions[0]->pin = port(0).map(Iova(0x100000), 0x1000, Access::kWrite).value();
  std::byte* const bytes = functions[0]->pin.spans()[0].host;
  EXPECT_FALSE(ask(0, kDmaUnmap, unmap_message(0x100000, 0x4000)));  // no reply yet
  EXPECT_FALSE(can_write(0, 0x100000));                              // but no new use either
  bytes[0] = std::byte{7};  // still there: no SIGSEGV, and it reaches the client
  EXPECT_EQ(word_in(file, 0), 7u);
  // The next message of that socket waits, those of others do not.
  EXPECT_FALSE(ask(0, kGetInfo, Bytes().u32(16).u32(0).u32(0).u32(0)));
  EXPECT_EQ(error_of(ask(1, kGetInfo, Bytes().u32(16).u32(0).u32(0).u32(0))), 0);
  // The thread that waits is the one that releases.
  functions[1]->host->post([this] { functions[0]->pin.release(); });
  run();
  const auto unmapped = clients[0].receive();
  ASSERT_EQ(error_of(unmapped), 0);
  EXPECT_EQ(unmapped->command, kDmaUnmap);
  EXPECT_EQ(clients[0].receive()->command, kGetInfo);
}

TEST_F(ServerTest, EqualMapsOfSeveralSocketsAreOneUntilTheLastIsGone) {
  add_functions(2);
  const FileDescriptor file = make_memory(0x2000);
  bring_up(0, file, 0x2000);
  bring_up(1, file, 0x2000);
  EXPECT_TRUE(can_write(1, 0x100000));
  EXPECT_EQ(unmap(0, 0x100000, 0x2000), 0);
  EXPECT_TRUE(can_write(0, 0x100000));  // one memory for the machine
  EXPECT_EQ(unmap(1, 0x100000, 0x2000, 0), 0);
  EXPECT_FALSE(can_write(0, 0x100000));
}

TEST_F(ServerTest, ASocketThatIsAheadWinsOverOneThatIsBehind) {
  add_functions(2);
  const FileDescriptor old_file = make_memory(0x3000), new_file = make_memory(0x1000);
  bring_up(0, old_file, 0x3000);
  negotiate(1);
  EXPECT_EQ(map(1, new_file, 0x101000, 0x1000), 0);  // in the middle of what socket 0 still says
  for (const std::uint32_t at : {0x100000u, 0x101000u, 0x102000u})
    EXPECT_TRUE(can_write(0, at, at));
  EXPECT_EQ(word_in(old_file, 0), 0x100000u);
  EXPECT_EQ(word_in(old_file, 0x1000), 0u);
  EXPECT_EQ(word_in(new_file, 0), 0x101000u);
  EXPECT_EQ(word_in(old_file, 0x2000), 0x102000u);
  EXPECT_EQ(unmap(0, 0x100000, 0x3000), 0);
  EXPECT_FALSE(can_write(0, 0x100000));
  EXPECT_TRUE(can_write(0, 0x101000));
}

TEST_F(ServerTest, UnmapAllTakesEveryMapOfItsSocket) {
  add_functions(1);
  const FileDescriptor file = make_memory(0x2000);
  bring_up(0, file, 0x1000);
  EXPECT_EQ(map(0, file, 0x200000, 0x1000, 0x1000), 0);
  EXPECT_EQ(unmap(0, 0, 0, 2), 0);
  EXPECT_FALSE(can_write(0, 0x100000));
  EXPECT_FALSE(can_write(0, 0x200000));
}

TEST_F(ServerTest, EventfdsAreWiredSignalledAndTakenAway) {
  add_functions(1);
  negotiate(0);
  const FileDescriptor a(::eventfd(0, EFD_NONBLOCK)), b(::eventfd(0, EFD_NONBLOCK));
  FunctionHost& host = *functions[0]->host;
  EXPECT_FALSE(host.raise(InterruptKind::kMsix, 0));
  const auto set = [&](std::uint32_t flags, std::uint32_t start, std::uint32_t count,
                       std::vector<int> fds) {
    return error_of(ask(0, kSetIrqs, Bytes().u32(20).u32(flags).u32(2).u32(start).u32(count), fds));
  };
  EXPECT_EQ(set(0x24, 0, 1, {}), 0);  // as QEMU probes vector 0
  EXPECT_EQ(set(0x24, 0, 2, {a.get(), b.get()}), 0);
  EXPECT_TRUE(host.raise(InterruptKind::kMsix, 1));
  EXPECT_TRUE(host.raise(InterruptKind::kMsix, 1));
  EXPECT_EQ(count_of(a), 0u);
  EXPECT_EQ(count_of(b), 2u);
  EXPECT_EQ(set(0x21, 0, 1, {}), 0);  // the client triggers one itself
  EXPECT_EQ(count_of(a), 1u);
  EXPECT_EQ(set(0x24, 1, 1, {}), 0);  // vector 1 is taken away
  EXPECT_FALSE(host.raise(InterruptKind::kMsix, 1));
  EXPECT_TRUE(host.raise(InterruptKind::kMsix, 0));
  EXPECT_EQ(set(0x21, 0, 0, {}), 0);  // all of them
  EXPECT_FALSE(host.raise(InterruptKind::kMsix, 0));
  EXPECT_FALSE(host.raise(InterruptKind::kMsix, 2));
  EXPECT_FALSE(host.raise(InterruptKind::kMsi, 0));
}

TEST_F(ServerTest, AMessageOfTheFunctionsOwnIsAPostedWriteOfTheClient) {
  add_functions(1);
  negotiate(0);
  const Msi msi{.address = 0xfee01004, .data = 0x22};
  EXPECT_FALSE(functions[0]->host->send_msi(msi));  // no bus mastering
  set_bus_master(0, true);
  EXPECT_TRUE(functions[0]->host->send_msi(msi));
  const auto message = clients[0].receive();
  ASSERT_TRUE(message);
  EXPECT_EQ(message->command, kDmaWrite);
  EXPECT_EQ(message->flags, 0x10u);  // a command, No_reply
  EXPECT_EQ(message->at<std::uint64_t>(0), 0xfee01004u);
  EXPECT_EQ(message->at<std::uint64_t>(8), 4u);
  EXPECT_EQ(message->at<std::uint32_t>(16), 0x22u);
}

TEST_F(ServerTest, ResetClosesTheFunctionAndWaitsForWhatItHolds) {
  add_functions(1);
  const FileDescriptor file = make_memory(0x1000);
  bring_up(0, file, 0x1000);
  functions[0]->pin = port(0).map(Iova(0x100000), 0x1000, Access::kWrite).value();
  functions[0]->release_on_reset = false;
  functions[0]->slow_reset = true;
  EXPECT_FALSE(ask(0, kReset, Bytes()));
  EXPECT_EQ(functions[0]->resets, 1);
  EXPECT_FALSE(functions[0]->bus_master);
  functions[0]->pin.release();
  run();
  EXPECT_FALSE(clients[0].receive());
  functions[0]->slow_reset = false;
  run();
  EXPECT_EQ(error_of(clients[0].receive()), 0);
  EXPECT_FALSE(can_write(0, 0x100000));
  set_bus_master(0, true);
  EXPECT_TRUE(can_write(0, 0x100000));  // its memory stays
}

TEST_F(ServerTest, AClientThatGoesTakesItsMemoryAndAnotherMayCome) {
  const std::string path = testing::TempDir() + "weir_server_test." + std::to_string(::getpid());
  PlainFunction* function = nullptr;
  auto made = std::make_unique<PlainFunction>(&function);
  functions.push_back(function);
  ASSERT_TRUE(
      server.add({.requester = Requester::from_bdf(0, 4, 0), .socket = path}, std::move(made)));
  const FileDescriptor file = make_memory(0x1000);
  const FileDescriptor eventfd(::eventfd(0, EFD_NONBLOCK));
  for (int round = 0; round < 3; ++round) {
    clients.clear();
    clients.push_back(Client::at(path.c_str()));
    run();
    EXPECT_EQ(server.connected(), 1u);
    bring_up(0, file, 0x1000);
    const int fd = eventfd.get();
    EXPECT_EQ(error_of(ask(0, kSetIrqs, Bytes().u32(20).u32(0x24).u32(2).u32(0).u32(1),
                           std::span(&fd, 1))),
              0);
    EXPECT_TRUE(can_write(0, 0x100000));
    clients[0].close();
    run();
    EXPECT_EQ(server.connected(), 0u);
    EXPECT_FALSE(can_write(0, 0x100000));
    EXPECT_FALSE(function->host->raise(InterruptKind::kMsix, 0));
    EXPECT_FALSE(function->host->send_msi({.address = 0xfee00000, .data = 0}));
    EXPECT_EQ(function->resets, round + 1);
  }
}

TEST_F(ServerTest, WhatIsPostedRunsInTheOrderOfItsTime) {
  add_functions(1);
  std::string order;
  FunctionHost& host = *functions[0]->host;
  host.post_after(std::chrono::milliseconds(2), [&] { order += 'c'; });
  host.post_after(std::chrono::milliseconds(1), [&] {
    order += 'b';
    host.post([&] { order += 'd'; });
  });
  host.post([&] { order += 'a'; });
  run();
  EXPECT_EQ(order, "a");
  clock.advance(std::chrono::milliseconds(2));
  server.run_once(Clock::Duration::zero());
  EXPECT_EQ(order, "abc");
  run();
  EXPECT_EQ(order, "abcd");
}

}  // namespace
}  // namespace weir::vfio_user::test
