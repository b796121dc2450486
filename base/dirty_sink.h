// SPDX-License-Identifier: Apache-2.0
//
// Where weir reports guest memory that it wrote: device writes, writable pins at their release,
// status words, and accessed/dirty bits. Live migration needs all of them.
#pragma once

#include <cstdint>

#include "base/address.h"

namespace weir {

class DirtySink {
 public:
  virtual ~DirtySink() = default;
  // `size` bytes at `first` were, or may have been, written; `size` > 0. Called from whichever
  // thread wrote, with no weir lock held; may call back into weir.
  virtual void on_dirty(Gpa first, std::uint64_t size) = 0;
};

}  // namespace weir
