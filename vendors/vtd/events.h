// SPDX-License-Identifier: Apache-2.0
//
// The unit's own message-signalled events: the fault event (10.4.10 to 10.4.13), the invalidation
// completion event (10.4.25 to 10.4.28) and the page request event (10.4.35 to 10.4.38). A masked
// event stays pending in IP; it goes out when software unmasks it, and lapses when software has
// serviced every status bit behind it first.
//
// Works on the register file under the unit's lock; the messages it answers with are sent by the
// caller once the lock is gone. Never sends by itself.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "iommu/sinks.h"
#include "iommu/unit.h"
#include "vendors/vtd/register_file.h"

namespace weir::vtd {

struct Event {
  const reg::Register& control;
  const reg::Register& data;
  const reg::Register& address;
  const reg::Register& upper_address;
};
inline constexpr Event kFaultEvent{reg::kFectl, reg::kFedata, reg::kFeaddr, reg::kFeuaddr};
inline constexpr Event kCompletionEvent{reg::kIectl, reg::kIedata, reg::kIeaddr, reg::kIeuaddr};
inline constexpr Event kPageRequestEvent{reg::kPectl, reg::kPedata, reg::kPeaddr, reg::kPeuaddr};

// A new interrupt condition: the message to send, or nothing while masked.
[[nodiscard]] std::optional<Msi> signal(RegisterFile& registers, const Event& event);
// After software wrote the control register.
[[nodiscard]] std::optional<Msi> after_unmasking(RegisterFile& registers, const Event& event);
// Every status bit behind the event has been serviced.
void lapse(RegisterFile& registers, const Event& event);

// Messages collected under the lock, to be sent without it. One access causes two at most.
class Outbox {
 public:
  void add(const std::optional<Msi>& message) {
    if (message) messages_[count_++] = *message;
  }
  void send(UnitHost& host) const {
    for (std::size_t i = 0; i < count_; ++i) host.raise(messages_[i]);
  }

 private:
  std::array<Msi, 4> messages_{};
  std::size_t count_ = 0;
};

}  // namespace weir::vtd
