// SPDX-License-Identifier: Apache-2.0
#include "plugs/vfio_user/file_descriptor.h"

#include <unistd.h>

namespace weir::vfio_user {

void FileDescriptor::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

}  // namespace weir::vfio_user
