// SPDX-License-Identifier: Apache-2.0
//
// Interrupt messages on their way: remapped by the unit, posted, or delivered as they are.
#include "iommu/interrupts.h"

#include <cstring>

#include "iommu/core.h"

namespace weir::core {
namespace {

using State = DmaPort::Burst::State;

// What a message of the port's function becomes. Reads only.
[[nodiscard]] Result<RemappedInterrupt, Fault> remap(const Route& route, const Request& request,
                                                     Msi msi,
                                                     const pagetables::PhysicalMemory& memory) {
  // A function behind no unit bypasses remapping too.
  if (route.unit == nullptr || route.unit->interrupt_mode() == InterruptMode::kOff)
    return RemappedInterrupt::as_it_is(msi);
  return route.unit->unit->remap_interrupt(request, msi, memory);
}

// The vendor's fault, in place of the interrupt that was booked.
[[nodiscard]] Failure<Fault> refuse_message(State& burst, const Fault& fault) {
  uncount(burst.slot, Outcome::kInterrupt);
  return Failure{give_up(burst, fault)};
}

}  // namespace

namespace {

[[nodiscard]] Result<Done, Fault> deliver(State& burst, const Request& request,
                                          std::span<const std::byte> data) {
  constexpr std::size_t kMessageBytes = 4;
  if (data.size() != kMessageBytes || request.iova.page_offset(2) != 0)
    return Failure{refuse(burst, request, Outcome::kInterrupt, FaultReason::kInterruptMalformed)};
  Msi msi{.address = request.iova.value()};
  std::memcpy(&msi.data, data.data(), kMessageBytes);
  const pagetables::PhysicalMemory& memory = burst.port.core.memory();
  auto remapped = remap(*burst.route, request, msi, memory);
  if (!remapped) return refuse_message(burst, remapped.error());
  if (remapped->kind == RemappedInterrupt::Kind::kPosted) {
    const auto notification = burst.route->unit->unit->post_interrupt(request, *remapped, memory);
    if (!notification) return refuse_message(burst, notification.error());
    if (!*notification) return Done{};
    remapped->msi = **notification;
  }
  if (Recorder* recorder = burst.port.core.recorder)
    recorder->on_device_msi(burst.route->requester, remapped->msi);
  if (InterruptSink* sink = burst.port.core.sinks.interrupts)
    sink->on_device_interrupt(burst.route->requester, *remapped);
  return Done{};
}

}  // namespace

Result<Done, Fault> deliver_interrupt(State& burst, const Request& request,
                                      std::span<const std::byte> data) {
  RecordedScope scope(burst.port.core.recorder, {.what = RecordedCall::What::kMessage,
                                                 .requester = request.requester,
                                                 .words = {request.iova.value(), data.size()},
                                                 .data = data});
  auto delivered = deliver(burst, request, data);
  scope.answer({delivered ? 1U : 0U});
  return delivered;
}

Result<RemappedInterrupt, Fault> resolve_interrupt(const Port& port, Msi msi) {
  auto& slot = port.core.bursts.slot();
  port.core.bursts.enter(slot);
  const Route& route = port.route();
  const Request request =
      make_request(route, Iova(msi.address), sizeof msi.data, Access::kWrite, {});
  const bool is_message =
      kInterruptRange.contains(request.iova) && request.iova.page_offset(2) == 0;
  auto remapped =
      is_message ? remap(route, request, msi, port.core.memory())
                 : Failure{Fault{.request = request, .reason = FaultReason::kInterruptMalformed}};
  port.core.leave(slot);
  return remapped;
}

Result<Done, Fault> send_interrupt(Port& port, Msi msi) {
  IommuCore& core = port.core;
  auto& slot = core.bursts.slot();
  core.bursts.enter(slot);
  State burst(port, slot);
  burst.route = &port.route();
  if (port.recorded) burst.recorder = core.recorder;
  const Request request =
      make_request(*burst.route, Iova(msi.address), sizeof msi.data, Access::kWrite, {});
  const auto send = [&]() -> Result<Done, Fault> {
    if (!kInterruptRange.contains(request.iova))
      return Failure{fail(burst, request, FaultReason::kInterruptMalformed)};
    const auto booked = translate(burst, request);
    if (!booked) return Failure{booked.error()};
    return deliver(burst, request, std::as_bytes(std::span(&msi.data, 1)));
  };
  const auto sent = send();
  core.leave(slot);
  return sent;
}

}  // namespace weir::core
