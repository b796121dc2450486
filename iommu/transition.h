// SPDX-License-Identifier: Apache-2.0
//
// What changes at run time about who reaches what, as one neutral value: a guest turns protected
// (its pages become private, its devices get windows, or both), a pool of windows moves, a group
// changes between identity and tables. Iommu::apply makes all of it one change with one completion:
// afterwards there is no access on the old reach. Reach may shrink, and windows may move; from a
// window back to bypass, and from or to a unit, leads only a machine reset.
//
// A transition is told to Sinks::transitions, can be written down as a line of text, and applied
// again from there (a trace carries it).
//
// Plain values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/ids.h"
#include "base/result.h"
#include "iommu/window.h"

namespace weir {

struct Transition {
  // The window of a pool, from now on; none: it is nowhere, and its functions reach nothing.
  struct PoolMove {
    PoolId pool;
    std::optional<Window> window{};
    friend bool operator==(const PoolMove&, const PoolMove&) = default;
  };
  // A function without a unit has this pool's window; no function: every one without a unit has.
  struct Confinement {
    std::optional<Requester> function{};
    PoolId pool;
    friend bool operator==(const Confinement&, const Confinement&) = default;
  };
  // The guest has changed what the contexts of a group say, and they say this now. What rests on
  // what they said before ends, in caches and in the functions' own TLBs. (What the guest does
  // about it with commands of its unit is another completion, and good by itself.)
  struct GroupTurn {
    enum class To : std::uint8_t { kIdentity, kTables };
    std::vector<Requester> functions{};
    To to = To::kIdentity;
    friend bool operator==(const GroupTurn&, const GroupTurn&) = default;
  };

  std::vector<PoolMove> pools{};
  std::vector<Confinement> confinements{};
  // Every page that these touch, and every page that lies in those as a whole; later ones win, and
  // those that are shared win over those that are private.
  std::vector<AddressRange<Gpa>> made_private{};
  std::vector<AddressRange<Gpa>> made_shared{};
  std::vector<GroupTurn> groups{};

  [[nodiscard]] bool empty() const {
    return pools.empty() && confinements.empty() && made_private.empty() && made_shared.empty() &&
           groups.empty();
  }
  friend bool operator==(const Transition&, const Transition&) = default;
};

// One line without its end:
//   private 0x0-0xffffffffffffffff; shared 0x100000-0x1fffff; pool 7 at 0x80000000-0x80003fff to
//   0x100000 rw; pool 8 nowhere; confine 0000:00:04.0 to 7; confine all to 7; group 0000:00:05.0
//   0000:00:06.0 identity
[[nodiscard]] std::string to_line(const Transition& transition);

struct TransitionError {
  std::size_t offset = 0;  // into the line
  std::string cause;
};
// What to_line wrote. Anything else is refused.
[[nodiscard]] Result<Transition, TransitionError> parse_transition(std::string_view line);

class TransitionSink {
 public:
  virtual ~TransitionSink() = default;
  // It has taken hold for requests that begin from now on; `number` tells the order, from 1.
  virtual void on_transition(std::uint64_t number, const Transition& transition) = 0;
};

}  // namespace weir
