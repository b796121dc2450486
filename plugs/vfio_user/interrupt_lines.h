// SPDX-License-Identifier: Apache-2.0
//
// The eventfds that a client has wired to a function's interrupt vectors (DEVICE_SET_IRQS).
//
// Any thread. raise() never waits: what is given must be an eventfd, it is made non-blocking, and
// one that is full is as good as signalled. (A client that undoes this between look and write can
// hold up its own server.)
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "plugs/vfio_user/file_descriptor.h"
#include "plugs/vfio_user/pci_function.h"
#include "plugs/vfio_user/protocol.h"

namespace weir::vfio_user {

class InterruptLines {
 public:
  explicit InterruptLines(const InterruptCounts& counts);

  // 0: there are none of that kind.
  [[nodiscard]] std::uint32_t count(std::uint32_t index) const;
  // `data`: what follows the fixed part. 0, or the errno to answer with; then nothing has changed.
  [[nodiscard]] int set(const SetIrqs& what, std::span<const std::byte> data,
                        std::vector<FileDescriptor> fds) WEIR_EXCLUDES(mutex_);
  bool raise(InterruptKind kind, std::uint32_t vector) WEIR_EXCLUDES(mutex_);
  // Nothing is wired any more.
  void clear() WEIR_EXCLUDES(mutex_);

 private:
  bool raise_locked(std::uint32_t index, std::uint32_t vector) WEIR_REQUIRES(mutex_);

  std::array<std::uint32_t, kIrqIndexes> counts_{};  // constant after construction

  Mutex mutex_;
  std::array<std::vector<FileDescriptor>, kIrqIndexes> eventfds_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::vfio_user
