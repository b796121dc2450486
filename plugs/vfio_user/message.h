// SPDX-License-Identifier: Apache-2.0
//
// Messages: whole ones taken out of a stream of bytes and file descriptors, and replies put
// together. The stream is hostile: its lengths are checked before anything is kept, and what is
// kept is bounded.
//
// Pure: no socket, no clock. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "plugs/vfio_user/file_descriptor.h"
#include "plugs/vfio_user/protocol.h"

namespace weir::vfio_user {

struct Message {
  Header header;
  std::vector<std::byte> payload;  // header.size - sizeof header bytes
  std::vector<FileDescriptor> fds;

  [[nodiscard]] bool is_reply() const { return flag::kType.get(header.flags) != 0; }
  [[nodiscard]] bool wants_reply() const { return !flag::kNoReply.is_set(header.flags); }

  // The fixed part of the payload; nothing if it is shorter.
  template <typename T>
  [[nodiscard]] std::optional<T> fixed() const {
    static_assert(std::is_trivially_copyable_v<T>);
    if (payload.size() < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, payload.data(), sizeof value);
    return value;
  }
};

// Takes one message at a time from the stream, and never a byte more than it: descriptors arrive
// with the bytes they were sent with, so those of two messages cannot be mixed up.
class MessageReader {
 public:
  // Where to receive next, and how much at most. Never empty unless broken() or complete().
  [[nodiscard]] std::span<std::byte> room();
  // So much of it was filled, with these descriptors. REQUIRES: at most room().size().
  void received(std::size_t bytes, std::vector<FileDescriptor> fds);

  [[nodiscard]] bool complete() const { return complete_; }
  // REQUIRES: complete(). The next one begins.
  [[nodiscard]] Message take();

  // A header was none, or there were more descriptors than a message may bring: the stream cannot
  // be followed any further.
  [[nodiscard]] bool broken() const { return broken_; }

 private:
  Message message_;
  std::size_t have_ = 0;  // bytes of it, header included
  bool complete_ = false;
  bool broken_ = false;
};

// Appends `value` to a message under way.
template <typename T>
void append(std::vector<std::byte>& to, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  to.resize(to.size() + sizeof value);
  std::memcpy(to.data() + to.size() - sizeof value, &value, sizeof value);
}

// The reply to `request` with this payload, or with an error (an errno) and none.
[[nodiscard]] std::vector<std::byte> make_reply(const Header& request,
                                                std::span<const std::byte> payload);
[[nodiscard]] std::vector<std::byte> make_error(const Header& request, int error);
// A command of the server's own that is not replied to.
[[nodiscard]] std::vector<std::byte> make_posted(Command command, std::uint16_t id,
                                                 std::span<const std::byte> payload);

}  // namespace weir::vfio_user
