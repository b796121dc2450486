// SPDX-License-Identifier: Apache-2.0
//
// A vfio-user client for tests, over a socketpair, that can be as wrong as it likes. Layouts are
// written out here from the specification's tables and share nothing with protocol.h. One thread
// drives client and server in turn.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "plugs/vfio_user/file_descriptor.h"

namespace weir::vfio_user::test {

// Bytes put together field by field.
class Bytes {
 public:
  template <typename Word>
  Bytes& add(Word word) {
    const auto at = bytes_.size();
    bytes_.resize(at + sizeof word);
    std::memcpy(bytes_.data() + at, &word, sizeof word);
    return *this;
  }
  Bytes& u8(std::uint8_t value) { return add(value); }
  Bytes& u16(std::uint16_t value) { return add(value); }
  Bytes& u32(std::uint32_t value) { return add(value); }
  Bytes& u64(std::uint64_t value) { return add(value); }
  Bytes& text(const char* value) {
    for (; *value != 0; ++value) u8(static_cast<std::uint8_t>(*value));
    return u8(0);
  }
  [[nodiscard]] const std::vector<std::byte>& get() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

struct Reply {
  std::uint16_t id = 0;
  std::uint16_t command = 0;
  std::uint32_t flags = 0;
  std::uint32_t error = 0;
  std::vector<std::byte> payload;

  template <typename Word>
  [[nodiscard]] Word at(std::size_t offset) const {
    Word word{};
    if (offset + sizeof word <= payload.size())
      std::memcpy(&word, payload.data() + offset, sizeof word);
    return word;
  }
};

class Client {
 public:
  // The other end is for the server.
  static Client pair(FileDescriptor& other);
  static Client at(const char* path);

  bool send_raw(std::span<const std::byte> bytes, std::span<const int> fds = {});
  // With a right header.
  bool send(std::uint16_t command, const Bytes& payload, std::span<const int> fds = {},
            std::uint32_t flags = 0);
  // A whole message that has arrived; nothing: there is none (yet), or the server hung up.
  std::optional<Reply> receive();
  // The server closed its end.
  [[nodiscard]] bool hung_up();
  void close() { fd_.close(); }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  explicit Client(FileDescriptor fd) : fd_(std::move(fd)) {}
  void fill();

  FileDescriptor fd_;
  std::vector<std::byte> got_;
  bool ended_ = false;
  std::uint16_t next_id_ = 100;
};

// Memory that can be sent: a memfd of `bytes`, sealed against shrinking.
FileDescriptor make_memory(std::uint64_t bytes, bool sealed = true);

}  // namespace weir::vfio_user::test
