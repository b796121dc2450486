// SPDX-License-Identifier: Apache-2.0
//
// What becomes of a virtio device's requests, decided from what is known of the device and its
// guest, by the table in docs/policy.md (which says why for every row). The two things that
// VIRTIO_F_ACCESS_PLATFORM has been taken to mean are two inputs here: that the guest goes through
// its DMA API (offered, negotiated), and that addresses are those of a unit and need its tables
// (covered). Only the second makes anybody look up anything.
//
// decide() is pure. A DevicePolicy is one device's: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "iommu/transition.h"
#include "iommu/window.h"

namespace weir {

struct PolicyInputs {
  bool covered = false;     // the guest's tables say that a unit translates it
  bool legacy = false;      // its driver has not accepted VIRTIO_F_VERSION_1, or could not
  bool offered = false;     // VIRTIO_F_ACCESS_PLATFORM (33): the guest may use its DMA API
  bool negotiated = false;  // and will
  bool swiotlb = false;     // VIRTIO_F_SWIOTLB (27, proposed) negotiated: only window addresses
  bool window = false;      // a window was declared for it
  bool protected_guest = false;       // keeps pages private
  bool invalidations_visible = true;  // the guest's flushes of the covering unit reach us

  friend bool operator==(const PolicyInputs&, const PolicyInputs&) = default;
};

struct PolicyDecision {
  enum class Answer : std::uint8_t {
    kBypass,
    kTranslate,
    kTranslateVerified,  // CacheOptions::verified: a hit re-reads what it rests on
    kWindow,
    kFeaturesRefused,  // FEATURES_OK stays clear; on a running device: DEVICE_NEEDS_RESET
    kDeviceRefused,    // the machine is not put together like that
  };
  Answer answer = Answer::kBypass;
  std::size_t row = 0;          // of the table, from 1
  std::string_view because{};  // one clause

  [[nodiscard]] bool runs() const { return answer <= Answer::kWindow; }
  // Whether addresses need an IOTLB: what a vhost back end is to be told, and nothing else.
  [[nodiscard]] bool looks_up() const {
    return answer == Answer::kTranslate || answer == Answer::kTranslateVerified;
  }
};

[[nodiscard]] std::string_view to_string(PolicyDecision::Answer answer);
[[nodiscard]] PolicyDecision decide(const PolicyInputs& inputs);

// The decision for one device, kept up to date while it runs.
class DevicePolicy {
 public:
  // `pool`: whose window it gets when it gets one.
  DevicePolicy(Requester function, std::optional<PoolId> pool, const PolicyInputs& inputs)
      : function_(function), pool_(pool), inputs_(inputs), decision_(decide(inputs)) {}

  [[nodiscard]] const PolicyInputs& inputs() const { return inputs_; }
  [[nodiscard]] const PolicyDecision& decision() const { return decision_; }
  // Something has changed: features were negotiated, the guest has turned protected, a window was
  // declared. Gives what is to be applied for it (often nothing). Refuses what cannot be had while
  // the machine runs, in one sentence, and then keeps the old decision. (Which pages are private is
  // the guest's word, and a transition of its own.)
  [[nodiscard]] Result<Transition, std::string> update(const PolicyInputs& next);

 private:
  const Requester function_;
  const std::optional<PoolId> pool_;
  PolicyInputs inputs_;
  PolicyDecision decision_;
};

}  // namespace weir
