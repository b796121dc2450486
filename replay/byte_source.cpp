// SPDX-License-Identifier: Apache-2.0
#include "replay/byte_source.h"

#include <fcntl.h>
#include <lzma.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

namespace weir::replay {
namespace {

// xz -9 needs 65 MiB to unpack; a header may ask for 4 GiB.
constexpr std::uint64_t kUnpackMemory = std::uint64_t{256} << 20;
constexpr std::array<char, 6> kXzMagic = {'\xfd', '7', 'z', 'X', 'Z', '\0'};

std::string system_cause(int number) { return std::generic_category().message(number); }

// What liblzma's answer means to somebody who holds the file.
std::string xz_cause(lzma_ret code) {
  switch (code) {
    case LZMA_BUF_ERROR:
      return "xz data is cut off: the file is truncated";
    case LZMA_DATA_ERROR:
      return "xz data is corrupt, or followed by something that is not xz";
    case LZMA_OPTIONS_ERROR:
    case LZMA_UNSUPPORTED_CHECK:
      return "xz data uses options that this liblzma does not support";
    case LZMA_MEMLIMIT_ERROR:
      return "xz data needs more than 256 MiB to unpack";
    case LZMA_MEM_ERROR:
      return "not enough memory to unpack xz data";
    default:  // liblzma's enum, not ours: it may grow
      return "xz data cannot be unpacked (liblzma code " + std::to_string(code) + ")";
  }
}

}  // namespace

struct ByteSource::State {
  explicit State(int descriptor) : fd(descriptor) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    lzma_end(&stream);
    close(fd);
  }

  // Raw bytes of the file behind what `raw` still holds.
  [[nodiscard]] std::optional<std::string> refill() {
    // The unread tail goes to the front, so a short first read can be completed.
    std::copy(raw.begin() + static_cast<std::ptrdiff_t>(raw_begin),
              raw.begin() + static_cast<std::ptrdiff_t>(raw_end), raw.begin());
    raw_end -= raw_begin;
    raw_begin = 0;
    for (;;) {
      const ssize_t got = ::read(fd, raw.data() + raw_end, raw.size() - raw_end);
      if (got >= 0) {
        raw_end += static_cast<std::size_t>(got);
        at_end = got == 0;
        return std::nullopt;
      }
      if (errno != EINTR) {
        return system_cause(errno);
      }
    }
  }

  [[nodiscard]] std::size_t copy(std::span<char> out) {
    const std::size_t take = std::min(out.size(), raw_end - raw_begin);
    std::memcpy(out.data(), raw.data() + raw_begin, take);
    raw_begin += take;
    return take;
  }

  // Sets `unpacked` or `failed` when the stream ends; what came out before that still counts.
  [[nodiscard]] std::size_t unpack(std::span<char> out) {
    stream.next_in = reinterpret_cast<const std::uint8_t*>(raw.data() + raw_begin);
    stream.avail_in = raw_end - raw_begin;
    stream.next_out = reinterpret_cast<std::uint8_t*>(out.data());
    stream.avail_out = out.size();
    const lzma_ret code = lzma_code(&stream, at_end ? LZMA_FINISH : LZMA_RUN);
    raw_begin = raw_end - stream.avail_in;
    if (code == LZMA_STREAM_END) {
      unpacked = true;
    } else if (code != LZMA_OK) {
      failed = xz_cause(code);
    }
    return out.size() - stream.avail_out;
  }

  const int fd;
  bool packed = false;
  bool at_end = false;    // of the file
  bool unpacked = false;  // the last xz stream has ended
  std::optional<std::string> failed;
  lzma_stream stream = LZMA_STREAM_INIT;
  std::array<char, 1 << 16> raw;
  std::size_t raw_begin = 0;
  std::size_t raw_end = 0;
};

ByteSource::ByteSource(std::unique_ptr<State> state) : state_(std::move(state)) {}
ByteSource::ByteSource(ByteSource&&) noexcept = default;
ByteSource& ByteSource::operator=(ByteSource&&) noexcept = default;
ByteSource::~ByteSource() = default;

Result<ByteSource, std::string> ByteSource::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return Failure{system_cause(errno)};
  }
  auto state = std::make_unique<State>(fd);
  while (!state->at_end && state->raw_end < kXzMagic.size()) {
    if (auto cause = state->refill()) {
      return Failure{std::move(*cause)};
    }
  }
  // A file that ends inside the magic is a truncated xz file as well.
  const std::size_t seen = std::min(state->raw_end, kXzMagic.size());
  if (seen != 0 && std::memcmp(state->raw.data(), kXzMagic.data(), seen) == 0) {
    state->packed = true;
    const lzma_ret code = lzma_stream_decoder(&state->stream, kUnpackMemory,
                                              LZMA_TELL_UNSUPPORTED_CHECK | LZMA_CONCATENATED);
    if (code != LZMA_OK) {
      return Failure{xz_cause(code)};
    }
  }
  return ByteSource(std::move(state));
}

Result<std::size_t, std::string> ByteSource::read(std::span<char> out) {
  State& s = *state_;
  while (!s.failed && !s.unpacked) {
    if (s.raw_begin == s.raw_end && !s.at_end) {
      s.failed = s.refill();
      continue;
    }
    const std::size_t got = s.packed ? s.unpack(out) : s.copy(out);
    if (got != 0) {
      return got;
    }
    if (!s.packed && s.at_end) {
      break;
    }
  }
  if (s.failed) {
    return Failure{*s.failed};
  }
  return std::size_t{0};
}

double ByteSource::part_read() const {
  struct stat status {};
  const off_t at = ::lseek(state_->fd, 0, SEEK_CUR);
  if (at < 0 || ::fstat(state_->fd, &status) != 0 || status.st_size <= 0) return 0;
  return std::min(1.0, static_cast<double>(at) / static_cast<double>(status.st_size));
}

}  // namespace weir::replay
