// SPDX-License-Identifier: Apache-2.0
//
// A block device behind the unit, started, with its driver.
#pragma once

#include <gtest/gtest.h>

#include "tests/plugs/virtio_blk/driver.h"

namespace weir::testing_blk {

inline constexpr std::uint64_t kDisk = 1 << 20;

class BlockTest : public testing::Test {
 protected:
  void start(const virtio_blk::Options& options = {}, replay::RingShape shape = {16},
             std::unique_ptr<virtio_blk::Storage> storage = nullptr) {
    if (storage == nullptr) storage = virtio_blk::memory_storage(kDisk);
    function.emplace(std::move(storage), options);
    function->start(machine.host);
    driver.emplace(machine, *function, shape, options.queues);
  }
  [[nodiscard]] const virtio_blk::Counts& counts() const { return function->counts(); }

  Machine machine;
  std::optional<virtio_blk::BlockFunction> function;
  std::optional<Driver> driver;
};

}  // namespace weir::testing_blk
