// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/page_requests.h"

#include <span>

#include "vendors/amdvi/device_table.h"

namespace weir::amdvi {
namespace {

[[nodiscard]] RingLog::Entry entry_of(const PageRequest& request, std::uint64_t code) {
  using namespace page_request;
  const std::uint32_t pasid = request.pasid ? request.pasid->value : 0;
  return {kDevice.of(request.requester.bdf) | kPasidLow.of(kPieceLow.get(pasid)) |
              kPasidHigh.of(kPieceHigh.get(pasid)) | kGroup.of(request.group) |
              kLast.of(request.last) | kExecute.of(request.execute) | kRead.of(request.read) |
              kWrite.of(request.write) | kUser.of(!request.privileged) |
              kGuest.of(request.pasid.has_value()) | kCode.of(code),
          request.page.page_base(kPageLg2).value()};
}

// The entry of the device table lets it ask. One word says so, which is read at once.
[[nodiscard]] bool may_ask(Shared& shared, const PageRequest& request) {
  const Options& options = shared.capabilities.options;
  const Settings settings = Settings::of(shared.live);
  const auto at = device_entry_at(request.requester, settings);
  std::uint64_t word = 0;
  if (!options.page_requests || !at ||
      !shared.host.read_memory(*at, std::as_writable_bytes(std::span(&word, 1))))
    return false;
  constexpr std::uint64_t kNeeded = dte0::kValid.kMask | dte0::kPageRequests.kMask;
  return (word & kNeeded) == kNeeded &&
         (word & device_entry_rules(options, settings.control).reserved[0]) == 0;
}

}  // namespace

std::optional<PageResponseCode> take_page_request(Shared& shared, const PageRequest& request) {
  if (!may_ask(shared, request)) {
    const auto code = static_cast<std::uint64_t>(EventCode::kInvalidPageRequest);
    (void)shared.log_entry(LogKind::kEvents, entry_of(request, code));
    return PageResponseCode::kInvalid;
  }
  if (shared.log_entry(LogKind::kRequests, entry_of(request, page_request::kPageRequest)))
    return std::nullopt;
  // No room, and nobody will answer.
  return PageResponseCode::kFailure;
}

}  // namespace weir::amdvi
