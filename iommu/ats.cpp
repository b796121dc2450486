// SPDX-License-Identifier: Apache-2.0
//
// What a function with a TLB of its own asks of its unit.
#include "iommu/ats.h"

#include <algorithm>

#include "iommu/core.h"

namespace weir::core {
namespace {

using State = DmaPort::Burst::State;

// The largest page around `iova`, up to 2^lg2, that has no part in the interrupt range.
[[nodiscard]] std::uint8_t beside_interrupts(Iova iova, std::uint8_t lg2) {
  const auto overlaps = [iova](std::uint8_t size) {
    const Iova first = iova.page_base(size);
    return kInterruptRange.overlaps({first, first + ((std::uint64_t{1} << size) - 1)});
  };
  while (lg2 > kPageLg2 && overlaps(lg2)) --lg2;
  return lg2;
}

[[nodiscard]] AtsTranslation answer_of(const Request& request, const Translation& found) {
  // Identity has no page; any size will do that is one on both sides.
  constexpr std::uint8_t kIdentityLg2 = 21;
  const std::uint8_t page = found.page_lg2 == 0 ? kIdentityLg2 : found.page_lg2;
  const std::uint8_t lg2 = request.pasid ? page : beside_interrupts(request.iova, page);
  AtsTranslation answer{.status = AtsStatus::kSuccess,
                        .page = request.iova.page_base(lg2),
                        .page_lg2 = lg2,
                        .output = found.gpa.page_base(lg2),
                        .permissions = found.permissions};
  // It is told what it asked about: execution only if it wants to execute, writing if it will
  // write.
  std::uint8_t bits = answer.permissions.bits();
  if (!request.execute) bits &= static_cast<std::uint8_t>(~Permissions::kExecuteBit);
  if (!writes(request.access)) bits &= static_cast<std::uint8_t>(~Permissions::kWriteBit);
  answer.permissions = Permissions::from_bits(bits);
  return answer;
}

}  // namespace

AtsTranslation translate_for_device(State& burst, const AtsRequest& attributes, Iova iova) {
  Request request =
      make_request(*burst.route, iova, 1, attributes.no_write ? Access::kRead : Access::kReadWrite,
                   {.pasid = attributes.pasid,
                    .address_type = AddressType::kTranslationRequest,
                    .privileged = attributes.privileged,
                    .execute = attributes.execute});
  const UnitCore* unit = burst.route->unit;
  if (unit == nullptr || unit->mode() == UnitMode::kOff)
    return {.status = fail(burst, request, FaultReason::kRequestTypeBlocked).ats};
  if (kInterruptRange.contains(iova) && !attributes.pasid) {
    // Messages stay messages: they are sent untranslated.
    count(burst.slot, Outcome::kPassedThrough);
    return {.status = AtsStatus::kSuccess,
            .page = iova.page_base(kPageLg2),
            .page_lg2 = kPageLg2,
            .output = Gpa(iova.page_base(kPageLg2).value()),
            .permissions = Permissions::from_bits(Permissions::kWriteBit | Permissions::kUserBit),
            .untranslated_only = true};
  }
  const auto found = translate(burst, request);
  if (!found) {
    AtsTranslation nothing{
        .status = found.error().ats, .page = iova.page_base(kPageLg2), .page_lg2 = kPageLg2};
    return nothing;
  }
  return answer_of(request, *found);
}

void send_page_request(State& burst, const PageRequest& request) {
  IommuCore& core = burst.port.core;
  core.books.page_request();
  std::optional<PageResponseCode> code = PageResponseCode::kInvalid;
  // Acquire: as in translate().
  if (burst.route->unit != nullptr && burst.port.bus_master.load(std::memory_order_acquire))
    code = burst.route->unit->unit->judge_page_request(request, core.memory());
  if (code && request.last)
    core.device_tlbs.respond(burst.port.number(), {request.pasid, request.group, *code});
}

}  // namespace weir::core

namespace weir {

using What = RecordedCall::What;

void DmaPort::set_ats_device(std::shared_ptr<AtsDevice> device) {
  const RecordedScope scope(port_->core.recorder, {.what = What::kAtsDevice,
                                                   .requester = port_->number(),
                                                   .words = {device != nullptr}});
  port_->core.device_tlbs.attach(port_->number(), std::move(device), port_->untrusted);
}

AtsTranslation DmaPort::request_translation(Iova iova, const AtsRequest& attributes) {
  Burst burst(*this);
  RecordedScope scope(
      port_->core.recorder,
      {.what = What::kAtsQuestion,
       .requester = burst.state_.route->requester,
       .pasid = attributes.pasid,
       .words = {iova.value(),
                 attribute_bits(attributes.privileged, attributes.execute,
                                AddressType::kTranslationRequest),
                 attributes.no_write}});
  core::note_form(burst.state_, PieceForm::kQuestion);
  const AtsTranslation answer = core::translate_for_device(burst.state_, attributes, iova);
  scope.answer({static_cast<std::uint64_t>(answer.status), answer.page_lg2, answer.output.value(),
                answer.permissions.bits()});
  return answer;
}

bool DmaPort::acknowledge_invalidation(std::uint32_t id) {
  core::IommuCore& core = port_->core;
  RecordedScope scope(core.recorder, {.what = What::kAtsAcknowledge,
                                      .requester = port_->number(),
                                      .words = {id}});
  const bool owed = core.device_tlbs.acknowledge(port_->number(), id);
  if (owed && core.tracker.waiting()) core.poll();
  scope.answer({owed});
  return owed;
}

void DmaPort::request_page(PageRequest request) {
  request.requester = port_->number();
  Burst burst(*this);
  const std::uint64_t flags = (request.last ? 1U : 0U) | (request.read ? 2U : 0U) |
                              (request.write ? 4U : 0U) | (request.execute ? 8U : 0U) |
                              (request.privileged ? 16U : 0U) | (request.private_data ? 32U : 0U);
  const auto private_data = request.private_data.value_or(std::array<std::uint64_t, 2>{});
  const RecordedScope scope(port_->core.recorder,
                            {.what = What::kPageRequest,
                             .requester = request.requester,
                             .pasid = request.pasid,
                             .words = {request.page.value(), request.group, flags, private_data[0],
                                       private_data[1]}});
  core::send_page_request(burst.state_, request);
}

}  // namespace weir
