// SPDX-License-Identifier: Apache-2.0
#include "plugs/virtio_blk/storage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "plugs/virtio_blk/layout.h"

namespace weir::virtio_blk {
namespace {

class MemoryStorage final : public Storage {
 public:
  explicit MemoryStorage(std::uint64_t bytes) : held_(bytes) {}

  [[nodiscard]] std::uint64_t bytes() const override { return held_.size(); }
  [[nodiscard]] bool read(std::uint64_t at, std::span<std::byte> to) override {
    std::memcpy(to.data(), held_.data() + at, to.size());
    return true;
  }
  [[nodiscard]] bool write(std::uint64_t at, std::span<const std::byte> from) override {
    std::memcpy(held_.data() + at, from.data(), from.size());
    return true;
  }
  [[nodiscard]] bool zero(std::uint64_t at, std::uint64_t bytes) override {
    std::memset(held_.data() + at, 0, bytes);
    return true;
  }
  [[nodiscard]] bool flush() override { return true; }

 private:
  std::vector<std::byte> held_;
};

// Calls move(done) until it has moved `bytes`; it answers as pread does.
template <typename Move>
[[nodiscard]] bool move_all(std::uint64_t bytes, Move move) {
  for (std::uint64_t done = 0; done < bytes;) {
    const ssize_t moved = move(done);
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) return false;
    done += static_cast<std::uint64_t>(moved);
  }
  return true;
}

class FileStorage final : public Storage {
 public:
  FileStorage(int file, std::uint64_t bytes) : file_(file), bytes_(bytes) {}
  ~FileStorage() override { ::close(file_); }
  FileStorage(const FileStorage&) = delete;
  FileStorage& operator=(const FileStorage&) = delete;

  [[nodiscard]] std::uint64_t bytes() const override { return bytes_; }
  [[nodiscard]] bool read(std::uint64_t at, std::span<std::byte> to) override {
    return move_all(to.size(), [&](std::uint64_t done) {
      return ::pread(file_, to.data() + done, to.size() - done, static_cast<off_t>(at + done));
    });
  }
  [[nodiscard]] bool write(std::uint64_t at, std::span<const std::byte> from) override {
    return move_all(from.size(), [&](std::uint64_t done) {
      return ::pwrite(file_, from.data() + done, from.size() - done,
                      static_cast<off_t>(at + done));
    });
  }
  [[nodiscard]] bool zero(std::uint64_t at, std::uint64_t bytes) override {
    static constexpr std::array<std::byte, 65536> kZeroes{};
    for (std::uint64_t done = 0; done < bytes;) {
      const std::uint64_t count = std::min<std::uint64_t>(kZeroes.size(), bytes - done);
      if (!write(at + done, std::span(kZeroes).first(count))) return false;
      done += count;
    }
    return true;
  }
  [[nodiscard]] bool flush() override { return ::fdatasync(file_) == 0; }

 private:
  const int file_;
  const std::uint64_t bytes_;
};

}  // namespace

std::unique_ptr<Storage> memory_storage(std::uint64_t bytes) {
  const std::uint64_t sectors = bytes / kSectorBytes + (bytes % kSectorBytes != 0 ? 1 : 0);
  return std::make_unique<MemoryStorage>(sectors * kSectorBytes);
}

Result<std::unique_ptr<Storage>, std::string> file_storage(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return Failure{path + ": " + std::strerror(errno)};
  struct stat about {};
  const bool is_file = ::fstat(file, &about) == 0 && S_ISREG(about.st_mode);
  const std::uint64_t bytes =
      is_file ? static_cast<std::uint64_t>(about.st_size) / kSectorBytes * kSectorBytes : 0;
  if (bytes == 0) {
    ::close(file);
    return Failure{path + (is_file ? ": has not one sector" : ": is not a regular file")};
  }
  return std::unique_ptr<Storage>(std::make_unique<FileStorage>(file, bytes));
}

}  // namespace weir::virtio_blk
