// SPDX-License-Identifier: Apache-2.0
//
// Sees every byte of guest memory that the units read and write for themselves (tables, queues,
// status words, logs), in the order in which they do; not what devices transfer. For whoever
// records a machine, or plays a recording back.
//
// Called from whichever thread reads or writes, inside its burst, with no weir lock held. A memory
// without a witness pays nothing for it on a hit.
#pragma once

#include <cstddef>
#include <span>

#include "base/address.h"

namespace weir::pagetables {

class MemoryWitness {
 public:
  virtual ~MemoryWitness() = default;
  // Something at `at` is about to be read; what it holds may still be put there.
  virtual void before_read(Gpa at) = 0;
  // It was read, and this is what was there. Does not come where the read failed.
  virtual void on_read(Gpa at, std::span<const std::byte> bytes) = 0;
  virtual void on_write(Gpa at, std::span<const std::byte> bytes) = 0;
};

}  // namespace weir::pagetables
