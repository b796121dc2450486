// SPDX-License-Identifier: Apache-2.0
//
// What was done to a recorded machine, done again.
#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "iommu/transition.h"
#include "replay/played_state.h"

namespace weir::replay {
namespace {

using What = RecordedCall::What;
using Taken = PlayedMachine::Taken;

[[nodiscard]] DmaAttributes attributes_of(std::optional<Pasid> pasid, std::uint64_t bits) {
  return {.pasid = pasid,
          .address_type = static_cast<AddressType>(bits >> 2 & 3),
          .privileged = (bits & 1) != 0,
          .execute = (bits & 2) != 0};
}

[[nodiscard]] Requester requester_of_key(std::uint64_t key) {
  return {static_cast<std::uint16_t>(key >> 16), static_cast<std::uint16_t>(key)};
}

[[nodiscard]] bool is_access(std::uint64_t n) {
  return n <= static_cast<std::uint64_t>(Access::kReadWrite);
}
[[nodiscard]] bool are_attributes(std::uint64_t n) {
  return n >> 2 <= static_cast<std::uint64_t>(AddressType::kTranslated);
}

}  // namespace

Taken PlayedMachine::State::call(const TraceCall& c) {
  const auto& w = c.words;
  const auto with_port = [&](auto act) -> Taken {
    DmaPort* const port = port_of(c.requester);
    if (port == nullptr)
      return Failure{std::string("a call about a function that is not attached")};
    act(*port);
    return Done{};
  };
  switch (c.what) {
    case What::kFrontDoor:
      if (c.unit.value >= units.size()) return Failure{std::string("there is no such unit")};
      return units[c.unit.value].carry_out(c);
    case What::kPoll:
      iommu->poll();
      return Done{};
    case What::kAttach: {
      Location location{.function = c.requester};
      if (c.data.size() % sizeof(Requester) != 0)
        return Failure{std::string("bridges that are cut off")};
      location.bridges.resize(c.data.size() / sizeof(Requester));
      std::copy(c.data.begin(), c.data.end(),
                std::as_writable_bytes(std::span(location.bridges)).begin());
      const Requester called = requester_of_key(w[1]);
      if (called != c.requester) location.alias = called;
      std::optional<PoolId> pool;
      if (w[0] != 0) pool = PoolId{static_cast<std::uint32_t>(w[0] - 1)};
      auto port = iommu->attach(location, pool);
      if (!port) return Failure{port.error()};
      const Requester name = (*port)->requester();
      ports[name] = std::move(*port);
      if (called != name) aliases[called] = name;
      return Done{};
    }
    case What::kDeclarePool: {
      const Window window{.range = {Iova(w[1]), Iova(w[2])},
                          .to = Gpa(w[3]),
                          .rights = Permissions::from_bits(w[4])};
      const auto declared = iommu->declare_pool(PoolId{static_cast<std::uint32_t>(w[0])}, window);
      if (!declared) return Failure{declared.error()};
      return Done{};
    }
    case What::kTransition: {
      const std::string_view line(reinterpret_cast<const char*>(c.data.data()), c.data.size());
      const auto transition = parse_transition(line);
      if (!transition)
        return Failure{"a transition, at " + std::to_string(transition.error().offset) +
                       " of its line: " + transition.error().cause};
      (void)iommu->apply(*transition);  // refused or not: the answers are compared
      return Done{};
    }
    case What::kDetach:
      latest_port = nullptr;
      if (const DmaPort* const leaving = port_of(c.requester))
        std::erase_if(pins, [&](const auto& held) { return held.second.port == leaving; });
      latest_port = nullptr;
      if (ports.erase(c.requester) == 0)
        return Failure{std::string("a function leaves that is not attached")};
      return Done{};
    case What::kBusMaster:
      (void)iommu->set_bus_master(c.requester, w[0] != 0);
      return Done{};
    case What::kResetFunction:
      (void)iommu->reset_function(c.requester);
      return Done{};
    case What::kReset:
      (void)iommu->reset();
      return Done{};
    case What::kMemory:
      if (!next_memory) return Failure{std::string("memory changes and nobody says to what")};
      (void)iommu->change_memory(next_memory->memory, next_memory->host_map);
      next_memory.reset();
      return Done{};
    case What::kHostMapChanged:
      if (w[1] < w[0]) return Failure{std::string("a range ends before it begins")};
      (void)iommu->host_map_changed({Gpa(w[0]), Gpa(w[1])});
      return Done{};
    case What::kUnanswered:
      if (!is_access(w[3]) || !are_attributes(w[4])) return Failure{std::string("no such request")};
      return with_port([&](DmaPort& port) {
        const DmaAttributes attributes = attributes_of(c.pasid, w[4]);
        if (w[0] == static_cast<std::uint64_t>(PieceForm::kAtomic))
          (void)port.fetch_add(Iova(w[1]), 0, attributes);
        else
          // Only that it wraps matters.
          (void)port.read(Iova(~std::uint64_t{0}), std::span(two_bytes), attributes);
      });
    case What::kPin:
      if (!is_access(w[2]) || !are_attributes(w[3])) return Failure{std::string("no such request")};
      return with_port([&](DmaPort& port) {
        auto pin =
            port.map(Iova(w[0]), w[1], static_cast<Access>(w[2]), attributes_of(c.pasid, w[3]));
        if (!pin) return;
        const std::uint64_t id = pin->id();
        pins[id] = {&port, std::move(*pin)};
      });
    case What::kPinEnd: {
      const auto pin = pins.find(w[0]);
      if (pin == pins.end()) {
        (void)iommu->revoke(w[0]);
        return Done{};
      }
      pin->second.pin.release();
      pins.erase(pin);
      return Done{};
    }
    case What::kAtsDevice:
      return with_port([&](DmaPort& port) {
        port.set_ats_device(w[0] != 0 ? std::make_shared<PlayedDevice>(port, collector) : nullptr);
      });
    case What::kAtsQuestion:
      return with_port([&](DmaPort& port) {
        (void)port.request_translation(Iova(w[0]), {.pasid = c.pasid,
                                                    .no_write = w[2] != 0,
                                                    .privileged = (w[1] & 1) != 0,
                                                    .execute = (w[1] & 2) != 0});
      });
    case What::kAtsAcknowledge:
      return with_port([&](DmaPort& port) {
        (void)port.acknowledge_invalidation(static_cast<std::uint32_t>(w[0]));
      });
    case What::kPageRequest:
      return with_port([&](DmaPort& port) {
        PageRequest request{.pasid = c.pasid,
                            .page = Iova(w[0]),
                            .group = static_cast<std::uint16_t>(w[1]),
                            .last = (w[2] & 1) != 0,
                            .read = (w[2] & 2) != 0,
                            .write = (w[2] & 4) != 0,
                            .execute = (w[2] & 8) != 0,
                            .privileged = (w[2] & 16) != 0};
        if ((w[2] & 32) != 0) request.private_data = {w[3], w[4]};
        port.request_page(request);
      });
    case What::kMessage:
      return with_port([&](DmaPort& port) {
        bytes = c.data;
        if (bytes.empty() && w[1] != 0) bytes.resize(1);
        (void)port.write(Iova(w[0]), bytes);
      });
    case What::kSendMsi:
      (void)iommu->send_msi(c.requester, {w[0], static_cast<std::uint32_t>(w[1])});
      return Done{};
    case What::kResolveMsi:
      (void)iommu->resolve_msi(c.requester, w[0], static_cast<std::uint32_t>(w[1]));
      return Done{};
  }
  return Failure{std::string("no such call")};
}

}  // namespace weir::replay
