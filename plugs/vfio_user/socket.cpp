// SPDX-License-Identifier: Apache-2.0
#include "plugs/vfio_user/socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <span>

namespace weir::vfio_user {
namespace {

[[nodiscard]] bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

void do_not_block(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

[[nodiscard]] std::string because(const std::string& what, int error) {
  return what + ": " + std::strerror(error);
}

// A socket file that a server left behind refuses connections; a live one accepts them.
[[nodiscard]] bool is_abandoned(const sockaddr_un& address) {
  const FileDescriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
         errno == ECONNREFUSED;
}

}  // namespace

Result<FileDescriptor, std::string> listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return Failure{"socket path of " + std::to_string(path.size()) + " bytes: 1 to " +
                   std::to_string(sizeof address.sun_path - 1) + " are possible"};
  std::memcpy(address.sun_path, path.data(), path.size());
  FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return Failure{because("no socket", errno)};
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  if (::bind(fd.get(), name, sizeof address) != 0) {
    if (errno != EADDRINUSE || !is_abandoned(address)) return Failure{because(path, errno)};
    ::unlink(path.c_str());
    if (::bind(fd.get(), name, sizeof address) != 0) return Failure{because(path, errno)};
  }
  if (::listen(fd.get(), 1) != 0) return Failure{because(path, errno)};
  return fd;
}

FileDescriptor accept_one(const FileDescriptor& listening) {
  return FileDescriptor(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

Socket::Socket(FileDescriptor fd) : fd_(std::move(fd)) { do_not_block(fd_.get()); }

Socket::Received Socket::receive(Message& message) {
  while (!reader_.complete()) {
    if (reader_.broken()) return Received::kEnd;
    const std::span<std::byte> room = reader_.room();
    iovec part{room.data(), room.size()};
    // One more than may come, so that it shows.
    alignas(cmsghdr) std::array<char, CMSG_SPACE((kMostFds + 1) * sizeof(int))> control{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && would_block(errno)) return Received::kNothing;
    std::vector<FileDescriptor> fds;
    if (got > 0) {
      for (cmsghdr* one = CMSG_FIRSTHDR(&header); one != nullptr; one = CMSG_NXTHDR(&header, one)) {
        if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
        for (std::size_t at = 0; at + sizeof(int) <= one->cmsg_len - CMSG_LEN(0);
             at += sizeof(int)) {
          int fd = -1;
          std::memcpy(&fd, CMSG_DATA(one) + at, sizeof fd);
          fds.emplace_back(fd);
        }
      }
    }
    // The kernel closes descriptors that did not fit, and says so; they are missed all the same.
    if (got <= 0 || (header.msg_flags & MSG_CTRUNC) != 0) return Received::kEnd;
    reader_.received(static_cast<std::size_t>(got), std::move(fds));
  }
  message = reader_.take();
  return Received::kMessage;
}

bool Socket::send(std::vector<std::byte> bytes) {
  const MutexLock lock(mutex_);
  if (broken_ || queue_.size() - sent_ + bytes.size() > kMostQueued) return false;
  if (queue_.empty())
    queue_ = std::move(bytes);
  else
    queue_.insert(queue_.end(), bytes.begin(), bytes.end());
  flush_locked();
  return !broken_;
}

void Socket::flush() {
  const MutexLock lock(mutex_);
  flush_locked();
}

bool Socket::queued() const {
  const MutexLock lock(mutex_);
  return !broken_ && !queue_.empty();
}

void Socket::flush_locked() {
  while (!broken_ && sent_ < queue_.size()) {
    const ssize_t went =
        ::send(fd_.get(), queue_.data() + sent_, queue_.size() - sent_, MSG_NOSIGNAL);
    if (went < 0 && errno == EINTR) continue;
    if (went < 0 && would_block(errno)) break;
    if (went <= 0)
      broken_ = true;
    else
      sent_ += static_cast<std::size_t>(went);
  }
  if (broken_ || sent_ == queue_.size()) {
    queue_.clear();
    sent_ = 0;
  } else if (sent_ > kMostQueued) {
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(sent_));
    sent_ = 0;
  }
}

}  // namespace weir::vfio_user
