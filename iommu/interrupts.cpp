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
[[nodiscard]] Result<RemappedInterrupt, Fault> remap(const Port& port, const Request& request,
                                                     Msi msi,
                                                     const pagetables::PhysicalMemory& memory) {
  // A function behind no unit bypasses remapping too.
  if (port.unit == nullptr || port.unit->interrupt_mode() == InterruptMode::kOff)
    return RemappedInterrupt::as_it_is(msi);
  return port.unit->unit->remap_interrupt(request, msi, memory);
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
  auto remapped = remap(burst.port, request, msi, memory);
  if (!remapped) return refuse_message(burst, remapped.error());
  if (remapped->kind == RemappedInterrupt::Kind::kPosted) {
    const auto notification = burst.port.unit->unit->post_interrupt(request, *remapped, memory);
    if (!notification) return refuse_message(burst, notification.error());
    if (!*notification) return Done{};
    remapped->msi = **notification;
  }
  if (Recorder* recorder = burst.port.core.recorder)
    recorder->on_device_msi(burst.port.requester, remapped->msi);
  if (InterruptSink* sink = burst.port.core.sinks.interrupts)
    sink->on_device_interrupt(burst.port.requester, *remapped);
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
  const Request request =
      make_request(port, Iova(msi.address), sizeof msi.data, Access::kWrite, {});
  if (!kInterruptRange.contains(request.iova) || request.iova.page_offset(2) != 0)
    return Failure{Fault{.request = request, .reason = FaultReason::kInterruptMalformed}};
  auto& slot = port.core.bursts.slot();
  port.core.bursts.enter(slot);
  auto remapped = remap(port, request, msi, port.core.memory());
  port.core.leave(slot);
  return remapped;
}

Result<Done, Fault> send_interrupt(Port& port, Msi msi) {
  IommuCore& core = port.core;
  auto& slot = core.bursts.slot();
  core.bursts.enter(slot);
  State burst{.port = port, .slot = slot};
  if (port.recorded) burst.recorder = core.recorder;
  const Request request =
      make_request(port, Iova(msi.address), sizeof msi.data, Access::kWrite, {});
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
