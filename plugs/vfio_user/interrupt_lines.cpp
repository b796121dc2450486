// SPDX-License-Identifier: Apache-2.0
#include "plugs/vfio_user/interrupt_lines.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <string>
#include <string_view>

namespace weir::vfio_user {
namespace {

constexpr std::uint32_t index_of(InterruptKind kind) { return static_cast<std::uint32_t>(kind); }

// A pipe or a socket in its place could make the writer wait for ever.
[[nodiscard]] bool is_eventfd(int fd) {
  std::array<char, 64> name{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = ::readlink(link.c_str(), name.data(), name.size());
  return length > 0 &&
         std::string_view(name.data(), static_cast<std::size_t>(length)) == "anon_inode:[eventfd]";
}

}  // namespace

InterruptLines::InterruptLines(const InterruptCounts& counts) {
  counts_[index_of(InterruptKind::kMsi)] = counts.msi;
  counts_[index_of(InterruptKind::kMsix)] = counts.msix;
  clear();
}

std::uint32_t InterruptLines::count(std::uint32_t index) const {
  return index < counts_.size() ? counts_[index] : 0;
}

void InterruptLines::clear() {
  const MutexLock lock(mutex_);
  for (std::size_t index = 0; index < counts_.size(); ++index) {
    eventfds_[index].clear();
    eventfds_[index].resize(counts_[index]);
  }
}

int InterruptLines::set(const SetIrqs& what, std::span<const std::byte> data,
                        std::vector<FileDescriptor> fds) {
  namespace f = set_irqs_flag;
  const bool one_of_each = std::popcount(f::kData.get(what.flags)) == 1 &&
                           std::popcount(f::kAction.get(what.flags)) == 1;
  if (!one_of_each || (what.flags & ~f::kLayout.defined) != 0) return EINVAL;
  if (what.index >= counts_.size()) return EINVAL;
  const std::uint32_t most = counts_[what.index];
  if (what.start > most || what.count > most - what.start) return EINVAL;
  // No kind is called maskable.
  if (!f::kTrigger.is_set(what.flags)) return EINVAL;

  const MutexLock lock(mutex_);
  const auto wired = std::span(eventfds_[what.index]).subspan(what.start, what.count);
  if (f::kDataEventfd.is_set(what.flags)) {
    if (!fds.empty() && fds.size() != what.count) return EINVAL;
    for (const FileDescriptor& fd : fds)
      if (!is_eventfd(fd.get())) return EINVAL;
    for (FileDescriptor& fd : wired) fd.close();
    for (std::size_t i = 0; i < fds.size(); ++i) {
      ::fcntl(fds[i].get(), F_SETFL, ::fcntl(fds[i].get(), F_GETFL) | O_NONBLOCK);
      wired[i] = std::move(fds[i]);
    }
    return 0;
  }
  if (!fds.empty()) return EINVAL;
  if (f::kDataBool.is_set(what.flags)) {
    if (data.size() < what.count) return EINVAL;
    for (std::uint32_t i = 0; i < what.count; ++i)
      if (data[i] != std::byte{0}) raise_locked(what.index, what.start + i);
    return 0;
  }
  if (what.count == 0) {  // of no data: all of them are taken away
    if (what.start != 0) return EINVAL;
    for (FileDescriptor& fd : eventfds_[what.index]) fd.close();
    return 0;
  }
  for (std::uint32_t i = 0; i < what.count; ++i) raise_locked(what.index, what.start + i);
  return 0;
}

bool InterruptLines::raise(InterruptKind kind, std::uint32_t vector) {
  const MutexLock lock(mutex_);
  return raise_locked(index_of(kind), vector);
}

bool InterruptLines::raise_locked(std::uint32_t index, std::uint32_t vector) {
  const auto& wired = eventfds_[index];
  if (vector >= wired.size() || !wired[vector]) return false;
  pollfd writable{.fd = wired[vector].get(), .events = POLLOUT, .revents = 0};
  if (::poll(&writable, 1, 0) != 1 || (writable.revents & POLLOUT) == 0) return true;  // full
  const std::uint64_t one = 1;
  return ::write(wired[vector].get(), &one, sizeof one) == sizeof one || errno == EAGAIN;
}

}  // namespace weir::vfio_user
