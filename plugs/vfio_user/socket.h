// SPDX-License-Identifier: Apache-2.0
//
// Unix sockets without blocking: one that listens at a path, and a stream that carries messages and
// file descriptors. Errors are values.
//
// Socket: receive() on one thread; send() from any. What the peer does not take at once is queued,
// up to a bound, and goes out with flush().
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "plugs/vfio_user/file_descriptor.h"
#include "plugs/vfio_user/message.h"

namespace weir::vfio_user {

// A listening socket at `path`, which must not exist or be a socket that nobody listens at any
// more. Refuses in one sentence.
[[nodiscard]] Result<FileDescriptor, std::string> listen_at(const std::string& path);
// A connection that waits there; none: -1.
[[nodiscard]] FileDescriptor accept_one(const FileDescriptor& listening);

class Socket {
 public:
  explicit Socket(FileDescriptor fd);

  enum class Received : std::uint8_t { kNothing, kMessage, kEnd };
  // Goes on with the message under way; kMessage: it is whole and in `message`. kEnd: the peer went
  // away, or its stream makes no sense.
  [[nodiscard]] Received receive(Message& message);

  // False: too much is queued already (a peer that does not read), or the peer is gone; nothing of
  // these bytes goes out.
  bool send(std::vector<std::byte> bytes) WEIR_EXCLUDES(mutex_);
  void flush() WEIR_EXCLUDES(mutex_);
  // Whether flush() has something to do.
  [[nodiscard]] bool queued() const WEIR_EXCLUDES(mutex_);

  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  // What a peer may leave unread: four of the largest replies.
  static constexpr std::size_t kMostQueued = 4 * kMostMessage;

  void flush_locked() WEIR_REQUIRES(mutex_);

  const FileDescriptor fd_;
  MessageReader reader_;  // of the thread that receives

  mutable Mutex mutex_;
  std::vector<std::byte> queue_ WEIR_GUARDED_BY(mutex_);
  std::size_t sent_ WEIR_GUARDED_BY(mutex_) = 0;  // of queue_
  bool broken_ WEIR_GUARDED_BY(mutex_) = false;
};

}  // namespace weir::vfio_user
