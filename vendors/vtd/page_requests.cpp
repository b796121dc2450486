// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/page_requests.h"

#include <array>
#include <span>

namespace weir::vtd {
namespace {

namespace prs = reg::prs;

using Slot = std::array<std::uint64_t, 4>;
static_assert(sizeof(Slot) == page_request::kBytes);

[[nodiscard]] Slot encode(const PageRequest& request) {
  namespace pr = page_request;
  Slot slot{};
  slot[0] = pr::kTypeField.of(pr::kType) | pr::kSource.of(request.requester.bdf);
  if (request.pasid)
    slot[0] |= pr::kPasidPresent.kMask | pr::kPasid.of(request.pasid->value) |
               pr::kExecute.of(request.execute) | pr::kPrivileged.of(request.privileged);
  slot[1] = pr::kAddress.in_place(request.page.value()) | pr::kGroup.of(request.group) |
            pr::kLast.of(request.last) | pr::kWrite.of(request.write) | pr::kRead.of(request.read);
  if (request.private_data) {
    slot[0] |= pr::kPrivateData.kMask;
    slot[2] = (*request.private_data)[0];
    slot[3] = (*request.private_data)[1];
  }
  return slot;
}

[[nodiscard]] std::uint64_t queue_bytes(const RegisterFile& registers) {
  std::uint64_t bytes = kPageSize;
  const std::uint64_t size = reg::pqa::kSize.get(registers.get(reg::pqa::kRegister));
  for (std::uint64_t i = 0; i < size; ++i) bytes *= 2;
  return bytes;
}

// A new condition raises the event unless an earlier one is unserviced (10.4.34).
[[nodiscard]] std::optional<Msi> set_status(RegisterFile& registers, std::uint64_t bits) {
  const std::uint64_t before = registers.get(prs::kRegister);
  registers.set_bits(prs::kRegister, bits);
  if (before != 0) return std::nullopt;
  return signal(registers, kPageRequestEvent);
}

// A slot that was given out.
struct Given {
  Gpa at;
  std::uint64_t number = 0;  // of the slot, as PageQueue counts them
  std::uint64_t generation = 0;
};

// Nothing: the queue is full, which is overflow, or has overflowed before.
[[nodiscard]] std::optional<Given> take_place(Shared& shared, Outbox& outbox)
    WEIR_REQUIRES(shared.mutex) {
  RegisterFile& registers = shared.registers;
  if (prs::kOverflow.is_set(registers.get(prs::kRegister))) return std::nullopt;
  const std::uint64_t bytes = queue_bytes(registers);
  PageQueue& queue = shared.page_queue;
  const std::uint64_t at = queue.given % bytes;
  const std::uint64_t next = (at + page_request::kBytes) % bytes;
  if (next == registers.get(reg::pqh::kRegister)) {
    outbox.add(set_status(registers, prs::kOverflow.kMask));
    return std::nullopt;
  }
  queue.given = next;
  queue.written.push_back(false);
  return Given{.at = Gpa(reg::pqa::kBase.in_place(registers.get(reg::pqa::kRegister))) + at,
               .number = queue.first + queue.written.size() - 1,
               .generation = queue.generation};
}

}  // namespace

void restart_page_queue(Shared& shared) {
  shared.page_queue.given = shared.registers.get(reg::pqt::kRegister);
  shared.page_queue.written.clear();
  ++shared.page_queue.generation;
}

std::optional<PageResponseCode> queue_page_request(Shared& shared, const PageRequest& request) {
  Outbox overflow;
  std::optional<Given> place;
  {
    MutexLock lock(shared.mutex);
    place = take_place(shared, overflow);
  }
  overflow.send(shared.host);
  // Lost: a device that is told of success asks again (7.4.1).
  if (!place) return PageResponseCode::kSuccess;

  const Slot slot = encode(request);
  // A queue outside memory loses its requests like any posted write.
  (void)shared.host.write_memory(place->at, std::as_bytes(std::span(slot)));

  Outbox outbox;
  {
    MutexLock lock(shared.mutex);
    PageQueue& queue = shared.page_queue;
    if (queue.generation != place->generation) return PageResponseCode::kFailure;
    queue.written[place->number - queue.first] = true;
    const std::uint64_t bytes = queue_bytes(shared.registers);
    std::uint64_t tail = shared.registers.get(reg::pqt::kRegister);
    bool shows = false;
    for (; !queue.written.empty() && queue.written.front(); queue.written.pop_front()) {
      tail = (tail + page_request::kBytes) % bytes;
      ++queue.first;
      shows = true;
    }
    shared.registers.set(reg::pqt::kRegister, tail);
    if (shows) outbox.add(set_status(shared.registers, prs::kPending.kMask));
  }
  outbox.send(shared.host);
  return std::nullopt;
}

}  // namespace weir::vtd
