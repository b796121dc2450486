// SPDX-License-Identifier: Apache-2.0
//
// What a PlayedMachine is made of, for its own files: played_machine.cpp makes it and compares,
// played_calls.cpp carries out what was done to it. For one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "replay/played_collector.h"
#include "replay/played_machine.h"
#include "replay/played_memory.h"
#include "replay/played_units.h"

namespace weir::replay {

struct PlayedMachine::State {
  explicit State(std::function<void(std::string)> hears) : differs(std::move(hears)) {}

  [[nodiscard]] Result<Done, std::string> piece(const TracePiece& piece,
                                                const TraceOperation& operation);
  [[nodiscard]] Result<Done, std::string> call(const TraceCall& call);
  [[nodiscard]] bool answer(const TracePiece& piece, DmaPort& port);
  [[nodiscard]] bool compare_answer(const TracePiece& piece,
                                    const Result<Translation, Fault>& translated);
  // Requests of which nothing came but an answer share bursts; anything else begins after them.
  [[nodiscard]] DmaPort::Burst& burst_of(DmaPort& port) {
    constexpr unsigned kMostInBurst = 32;
    if (!burst || burst_port != &port || ++in_burst == kMostInBurst) {
      burst.reset();
      burst.emplace(port);
      burst_port = &port;
      in_burst = 0;
    }
    return *burst;
  }
  [[nodiscard]] DmaPort* port_of(Requester requester) {
    if (requester == latest_requester && latest_port != nullptr) return latest_port;
    auto found = ports.find(requester);
    // Requests are recorded under the number that they bear, which may be a bridge's.
    if (const auto alias = aliases.find(requester); found == ports.end() && alias != aliases.end())
      found = ports.find(alias->second);
    if (found == ports.end()) return nullptr;
    latest_requester = requester;
    return latest_port = found->second.get();
  }
  void compare(const TraceOperation& expected, bool answered_alike);
  void tell(std::string line) {
    differs("operation " + std::to_string(result.operations) + ": " + line);
  }

  std::function<void(std::string)> differs;
  PlayedBack result;
  TraceMachine machine;
  bool has_machine = false;

  // In the order of their lives.
  PlayedClock clock;
  PlayedMemory memory;
  PlayedCollector collector{memory};
  std::optional<Iommu> iommu;
  std::vector<PlayedUnit> units;
  std::vector<std::string> vendors;
  std::unordered_map<Requester, std::unique_ptr<DmaPort>> ports;
  std::unordered_map<Requester, Requester> aliases;  // of one of the functions that bear it
  // A pin does not outlive its port, whatever a recording says.
  struct HeldPin {
    const DmaPort* port = nullptr;
    Pin pin;
  };
  std::unordered_map<std::uint64_t, HeldPin> pins;
  std::optional<DmaPort::Burst> burst;
  DmaPort* burst_port = nullptr;
  unsigned in_burst = 0;
  std::optional<PlayedMemory::Shape> next_memory;
  Requester latest_requester{};
  DmaPort* latest_port = nullptr;
  std::vector<std::byte> bytes;  // of transfers that are refused, and of messages
  std::array<std::byte, 2> two_bytes{};
};

}  // namespace weir::replay
