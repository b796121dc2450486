// SPDX-License-Identifier: Apache-2.0
#include "plugs/vfio_user/message.h"

#include <algorithm>
#include <utility>

namespace weir::vfio_user {
namespace {

[[nodiscard]] std::vector<std::byte> whole(Header header, std::span<const std::byte> payload) {
  header.size = static_cast<std::uint32_t>(sizeof header + payload.size());
  std::vector<std::byte> bytes(header.size);
  std::memcpy(bytes.data(), &header, sizeof header);
  std::ranges::copy(payload, bytes.begin() + sizeof header);
  return bytes;
}

}  // namespace

std::span<std::byte> MessageReader::room() {
  if (broken_ || complete_) return {};
  if (have_ < sizeof message_.header)
    return std::as_writable_bytes(std::span(&message_.header, 1)).subspan(have_);
  return std::span(message_.payload).subspan(have_ - sizeof message_.header);
}

void MessageReader::received(std::size_t bytes, std::vector<FileDescriptor> fds) {
  const bool had_header = have_ >= sizeof message_.header;
  have_ += bytes;
  for (FileDescriptor& fd : fds) message_.fds.push_back(std::move(fd));
  if (message_.fds.size() > kMostFds) {
    broken_ = true;
    return;
  }
  if (have_ < sizeof message_.header) return;
  const std::size_t size = message_.header.size;
  if (!had_header) {
    if (size < sizeof message_.header || size > kMostMessage) {
      broken_ = true;
      return;
    }
    message_.payload.resize(size - sizeof message_.header);
  }
  complete_ = have_ == size;
}

Message MessageReader::take() {
  complete_ = false;
  have_ = 0;
  return std::exchange(message_, Message{});
}

std::vector<std::byte> make_reply(const Header& request, std::span<const std::byte> payload) {
  Header header = request;
  header.flags = static_cast<std::uint32_t>(flag::kType.of(flag::kReplyType));
  header.error = 0;
  return whole(header, payload);
}

std::vector<std::byte> make_error(const Header& request, int error) {
  Header header = request;
  header.flags = static_cast<std::uint32_t>(flag::kError.with(flag::kType.of(flag::kReplyType), 1));
  header.error = static_cast<std::uint32_t>(error);
  return whole(header, {});
}

std::vector<std::byte> make_posted(Command command, std::uint16_t id,
                                   std::span<const std::byte> payload) {
  return whole({.id = id,
                .command = static_cast<std::uint16_t>(command),
                .flags = static_cast<std::uint32_t>(flag::kNoReply.of(1))},
               payload);
}

}  // namespace weir::vfio_user
