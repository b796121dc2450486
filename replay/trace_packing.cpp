// SPDX-License-Identifier: Apache-2.0
#include "replay/trace_packing.h"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "replay/binary_trace.h"
#include "replay/byte_source.h"

namespace weir::replay {
namespace {

constexpr int kLevel = 3;
constexpr int kWindowLog = 23;  // 8 MiB: what a writer may ask of a reader
// Magic, version, and two bytes that are 0.
using Header = std::array<std::uint8_t, kTraceMagic.size() + 4>;

[[nodiscard]] Header header() {
  Header bytes{};
  std::copy(kTraceMagic.begin(), kTraceMagic.end(), bytes.begin());
  bytes[kTraceMagic.size()] = static_cast<std::uint8_t>(kTraceVersion & 0xff);
  bytes[kTraceMagic.size() + 1] = static_cast<std::uint8_t>(kTraceVersion >> 8);
  return bytes;
}

[[nodiscard]] std::string system_cause(int number) {
  return std::generic_category().message(number);
}

// As many bytes of a header as there are.
[[nodiscard]] Result<std::size_t, std::string> read_header(ByteSource& from, Header& to) {
  std::size_t have = 0;
  while (have < to.size()) {
    const auto got = from.read({reinterpret_cast<char*>(to.data()) + have, to.size() - have});
    if (!got) return Failure{got.error()};
    if (*got == 0) break;
    have += *got;
  }
  return have;
}

}  // namespace

// ---- Output

struct PackedOutput::State {
  explicit State(int descriptor) : fd(descriptor), stream(ZSTD_createCCtx()) {
    packed.resize(ZSTD_CStreamOutSize());
    ZSTD_CCtx_setParameter(stream, ZSTD_c_compressionLevel, kLevel);
    ZSTD_CCtx_setParameter(stream, ZSTD_c_checksumFlag, 1);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    ZSTD_freeCCtx(stream);
    if (fd >= 0) ::close(fd);
  }

  void put(std::span<const std::uint8_t> bytes) {
    while (cause.empty() && !bytes.empty()) {
      const ssize_t done = ::write(fd, bytes.data(), bytes.size());
      if (done >= 0)
        bytes = bytes.subspan(static_cast<std::size_t>(done));
      else if (errno != EINTR)
        cause = system_cause(errno);
    }
  }
  void pack(std::span<const std::uint8_t> bytes, ZSTD_EndDirective how) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (bool more = true; more && cause.empty();) {
      ZSTD_outBuffer out{packed.data(), packed.size(), 0};
      const std::size_t left = ZSTD_compressStream2(stream, &out, &in, how);
      if (ZSTD_isError(left) != 0) {
        cause = std::string("zstd: ") + ZSTD_getErrorName(left);
        return;
      }
      put({packed.data(), out.pos});
      more = how == ZSTD_e_continue ? in.pos < in.size : left != 0;
    }
  }

  int fd;
  ZSTD_CCtx* stream;
  std::vector<std::uint8_t> packed;
  std::string cause;
};

PackedOutput::PackedOutput(std::unique_ptr<State> state) : state_(std::move(state)) {}
PackedOutput::PackedOutput(PackedOutput&&) noexcept = default;
PackedOutput& PackedOutput::operator=(PackedOutput&&) noexcept = default;
PackedOutput::~PackedOutput() = default;

Result<PackedOutput, std::string> PackedOutput::create(const std::string& path) {
  constexpr mode_t kMode = 0666;
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kMode);
  if (fd < 0) return Failure{system_cause(errno)};
  auto state = std::make_unique<State>(fd);
  if (state->stream == nullptr) return Failure{std::string("not enough memory to pack")};
  state->put(header());
  if (!state->cause.empty()) return Failure{state->cause};
  return PackedOutput(std::move(state));
}

void PackedOutput::write(std::span<const std::uint8_t> bytes) {
  state_->pack(bytes, ZSTD_e_continue);
}

void PackedOutput::flush() { state_->pack({}, ZSTD_e_flush); }

Result<Done, std::string> PackedOutput::close() {
  State& s = *state_;
  s.pack({}, ZSTD_e_end);
  const int fd = std::exchange(s.fd, -1);
  if (fd >= 0 && ::close(fd) != 0 && s.cause.empty()) s.cause = system_cause(errno);
  if (!s.cause.empty()) return Failure{s.cause};
  return Done{};
}

// ---- Input

bool is_packed_trace(const std::string& path) {
  auto source = ByteSource::open(path);
  if (!source) return false;
  Header bytes{};
  const auto have = read_header(*source, bytes);
  return have && *have >= kTraceMagic.size() &&
         std::equal(kTraceMagic.begin(), kTraceMagic.end(), bytes.begin());
}

struct PackedInput::State {
  explicit State(ByteSource from) : source(std::move(from)), stream(ZSTD_createDCtx()) {
    if (stream != nullptr) ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, kWindowLog);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { ZSTD_freeDCtx(stream); }

  ByteSource source;
  ZSTD_DCtx* stream;
  std::array<char, 1 << 16> raw;
  ZSTD_inBuffer in{nullptr, 0, 0};
  bool unpacked = false;  // the frame has ended
  bool more = false;      // zstd holds more than it could give
  std::string cause;
};

PackedInput::PackedInput(std::unique_ptr<State> state) : state_(std::move(state)) {}
PackedInput::PackedInput(PackedInput&&) noexcept = default;
PackedInput& PackedInput::operator=(PackedInput&&) noexcept = default;
PackedInput::~PackedInput() = default;

Result<PackedInput, std::string> PackedInput::open(const std::string& path) {
  auto source = ByteSource::open(path);
  if (!source) return Failure{source.error()};
  Header bytes{};
  const auto have = read_header(*source, bytes);
  if (!have) return Failure{have.error()};
  if (*have < bytes.size() ||
      !std::equal(kTraceMagic.begin(), kTraceMagic.end(), bytes.begin()))
    return Failure{std::string("no trace of weir's own")};
  if (bytes != header())
    return Failure{"a trace of version " +
                   std::to_string(bytes[kTraceMagic.size()] | bytes[kTraceMagic.size() + 1] << 8) +
                   ", and this weir reads version 1"};
  auto state = std::make_unique<State>(std::move(*source));
  if (state->stream == nullptr) return Failure{std::string("not enough memory to unpack")};
  return PackedInput(std::move(state));
}

Result<std::size_t, std::string> PackedInput::read(std::span<std::uint8_t> to) {
  State& s = *state_;
  while (s.cause.empty()) {
    if (s.in.pos == s.in.size && !s.more) {
      const auto got = s.source.read(s.raw);
      if (!got) {
        s.cause = got.error();
        break;
      }
      if (*got == 0) {
        if (s.unpacked) return std::size_t{0};
        s.cause = "the file is cut off";
        break;
      }
      s.in = {s.raw.data(), *got, 0};
    }
    if (s.unpacked && s.in.pos != s.in.size) {
      s.cause = "something follows the end of the trace";
      break;
    }
    ZSTD_outBuffer out{to.data(), to.size(), 0};
    const std::size_t left = ZSTD_decompressStream(s.stream, &out, &s.in);
    if (ZSTD_isError(left) != 0) {
      s.cause = std::string("zstd data cannot be unpacked: ") + ZSTD_getErrorName(left);
      break;
    }
    s.unpacked = left == 0;
    s.more = !s.unpacked && out.pos == out.size;
    if (out.pos != 0) return out.pos;
  }
  return Failure{s.cause};
}

double PackedInput::part_read() const { return state_->source.part_read(); }

}  // namespace weir::replay
