// SPDX-License-Identifier: Apache-2.0
#include "tests/plugs/client.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace weir::vfio_user::test {

Client Client::pair(FileDescriptor& other) {
  std::array<int, 2> ends{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0)
    return Client({});
  other = FileDescriptor(ends[1]);
  return Client(FileDescriptor(ends[0]));
}

Client Client::at(const char* path) {
  FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fd.close();
  return Client(std::move(fd));
}

bool Client::send_raw(std::span<const std::byte> bytes, std::span<const int> fds) {
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  std::vector<char> control(CMSG_SPACE(fds.size_bytes()));
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* one = CMSG_FIRSTHDR(&message);
    one->cmsg_level = SOL_SOCKET;
    one->cmsg_type = SCM_RIGHTS;
    one->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(one), fds.data(), fds.size_bytes());
  }
  return ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

bool Client::send(std::uint16_t command, const Bytes& payload, std::span<const int> fds,
                  std::uint32_t flags) {
  Bytes whole;
  whole.u16(next_id_++).u16(command).u32(static_cast<std::uint32_t>(16 + payload.get().size()));
  whole.u32(flags).u32(0);
  std::vector<std::byte> bytes = whole.get();
  bytes.insert(bytes.end(), payload.get().begin(), payload.get().end());
  return send_raw(bytes, fds);
}

void Client::fill() {
  std::array<std::byte, 65536> buffer;
  while (true) {
    const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got == 0 || (got < 0 && errno == ECONNRESET)) ended_ = true;
    if (got <= 0) return;
    got_.insert(got_.end(), buffer.begin(), buffer.begin() + got);
  }
}

std::optional<Reply> Client::receive() {
  fill();
  std::uint32_t size = 0;
  if (got_.size() < 16) return std::nullopt;
  std::memcpy(&size, got_.data() + 4, sizeof size);
  if (size < 16 || got_.size() < size) return std::nullopt;
  Reply reply;
  std::memcpy(&reply.id, got_.data(), 2);
  std::memcpy(&reply.command, got_.data() + 2, 2);
  std::memcpy(&reply.flags, got_.data() + 8, 4);
  std::memcpy(&reply.error, got_.data() + 12, 4);
  reply.payload.assign(got_.begin() + 16, got_.begin() + size);
  got_.erase(got_.begin(), got_.begin() + size);
  return reply;
}

bool Client::hung_up() {
  if (fd_) fill();
  return ended_ || !fd_;
}

FileDescriptor make_memory(std::uint64_t bytes, bool sealed) {
  FileDescriptor fd(::memfd_create("test memory", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return {};
  if (sealed && ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0) return {};
  return fd;
}

}  // namespace weir::vfio_user::test
