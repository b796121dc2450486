// SPDX-License-Identifier: Apache-2.0
//
// One DMA request of a device function, complete: it travels unchanged to the end, so that whatever
// becomes of it (answer, fault record, log line) can name all of it. A pure value; any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "base/access.h"
#include "base/address.h"
#include "base/ids.h"

namespace weir {

struct Request {
  Requester requester;
  std::optional<Pasid> pasid{};
  Iova iova{};
  std::uint64_t size = 0;  // bytes; 0 is a zero-length read
  Access access = Access::kRead;
  AddressType address_type = AddressType::kUntranslated;
  bool privileged = false;  // PCIe PASID prefix: Privileged Mode Requested
  bool execute = false;     // PCIe PASID prefix: Execute Requested
};

}  // namespace weir
