// SPDX-License-Identifier: Apache-2.0
//
// Address translation services between a function and its unit (PCIe 10): translation requests and
// their answers, invalidations of the function's own TLB, page requests and their responses. Plain
// values and the sink through which a device hears of them.
//
// AtsDevice is called from any thread, with no weir lock held, and may call back into weir.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/access.h"
#include "base/address.h"
#include "base/fault.h"
#include "base/ids.h"

namespace weir {

// What a function says of its translation request besides the address.
struct AtsRequest {
  std::optional<Pasid> pasid{};
  bool no_write = false;  // NW: it will only read, so that no dirty bit is set for it
  bool privileged = false;
  bool execute = false;
};

// The completion. With kSuccess and no permissions there is nothing to be had: a page request may
// help, and an untranslated request meets the fault.
struct AtsTranslation {
  AtsStatus status = AtsStatus::kUnsupportedRequest;
  Iova page{};  // base; a multiple of 2^page_lg2
  std::uint8_t page_lg2 = 0;
  Gpa output{};  // base of what a translated request may use
  Permissions permissions = Permissions::none();
  bool untranslated_only = false;  // U: such addresses must be sent untranslated
};

// Forget what lies inside `range`, of `pasid`, or of none, or of `all_pasids`; and once no request
// that rests on it is under way any more, acknowledge `id`.
struct AtsInvalidation {
  std::uint32_t id = 0;
  std::optional<Pasid> pasid{};
  bool all_pasids = false;
  AddressRange<Iova> range = whole_space<Iova>();
};

// As PCIe 10.4.2.2 numbers them.
enum class PageResponseCode : std::uint8_t { kSuccess = 0, kInvalid = 1, kFailure = 15 };

struct PageResponse {
  std::optional<Pasid> pasid{};
  std::uint16_t group = 0;  // 9 bits
  PageResponseCode code = PageResponseCode::kFailure;
};

struct PageRequest {
  Requester requester{};  // filled in by the port
  std::optional<Pasid> pasid{};
  Iova page{};
  std::uint16_t group = 0;  // 9 bits
  bool last = false;        // of its group: a response is due
  bool read = false;
  bool write = false;
  bool execute = false;
  bool privileged = false;
  // Comes back in the response where the architecture has it so.
  std::optional<std::array<std::uint64_t, 2>> private_data{};
};

class AtsDevice {
 public:
  virtual ~AtsDevice() = default;
  // May acknowledge from inside (DmaPort::acknowledge_invalidation), and should soon: a device that
  // stays silent for too long loses its translated requests until it has caught up or is reset.
  virtual void on_invalidate(const AtsInvalidation& what) = 0;
  virtual void on_page_response(const PageResponse& /*response*/) {}
};

}  // namespace weir
