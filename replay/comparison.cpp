// SPDX-License-Identifier: Apache-2.0
#include "replay/comparison.h"

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "base/bits.h"

namespace weir::replay {
namespace {

constexpr std::size_t kDescribed = 10;

[[nodiscard]] std::string hex(std::uint64_t value) {
  char text[20];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

[[nodiscard]] std::string name_of(Requester r) {
  char text[12];
  std::snprintf(text, sizeof text, "%02x:%02x.%x", r.bus(), r.device(), r.function());
  return text;
}

[[nodiscard]] std::string describe(const PendingAccess& a) {
  const std::string_view verb = a.access == Access::kRead ? " reads " : " writes ";
  return name_of(a.requester) + std::string(verb) + hex(a.iova.value()) + ": ";
}

[[nodiscard]] std::string describe(const Answer& answer) {
  if (answer.outcome == Outcome::kFaulted)
    return "fault " + std::to_string(answer.code) + " (" + std::string(to_string(answer.reason)) +
           ")";
  return hex(answer.gpa.value()) + " (" + std::string(to_string(answer.outcome)) + ")";
}

// What an access that the trace calls a success is called here, if it is one.
[[nodiscard]] bool is_kind(Outcome outcome, Expected expected) {
  switch (expected) {
    case Expected::kHit:
    case Expected::kFill:
      return outcome == Outcome::kHit || outcome == Outcome::kWalked;
    case Expected::kPassThrough:
    case Expected::kUnremapped:
      return outcome == Outcome::kPassedThrough;
    case Expected::kFault:
      return outcome == Outcome::kFaulted;
    case Expected::kInterrupt:
      return outcome == Outcome::kInterrupt;
    case Expected::kMapped:
    case Expected::kUnmapped:
      return false;  // not told by a trace
  }
  return false;
}

}  // namespace

void Comparison::differs(std::uint64_t& count, std::uint64_t line, std::string what) {
  ++count;
  if (report_.differences.size() < kDescribed)
    report_.differences.push_back("line " + std::to_string(line) + ": " + std::move(what));
}

void Comparison::take(const AccessBatch& batch) {
  for (std::size_t i = 0; i < batch.accesses().size(); ++i)
    take(batch.accesses()[i], batch.answers()[i]);
}

void Comparison::take(const PendingAccess& a, const Answer& answer) {
  if (answer.outcome == Outcome::kFaulted) ++report_.fault_reasons[{answer.code, answer.reason}];
  if (a.expected == Expected::kMapped || a.expected == Expected::kUnmapped)
    return take_synthetic(a, answer);
  if (a.expected == Expected::kFault) {
    ++report_.faults.count;
    if (answer.outcome != Outcome::kFaulted || answer.code != a.code)
      differs(report_.faults.different, a.line,
              describe(a) + "fault " + std::to_string(a.code) + " in the trace, here " +
                  describe(answer));
  } else {
    ++report_.translations.count;
    const bool same = a.expected == Expected::kInterrupt ||
                      (a.expected == Expected::kUnremapped
                           ? answer.gpa.page_base(kPageLg2) == a.gpa.page_base(kPageLg2)
                           : answer.gpa == a.gpa);
    if (!is_kind(answer.outcome, a.expected) || !same)
      differs(report_.translations.different, a.line,
              describe(a) + hex(a.gpa.value()) + " in the trace, here " + describe(answer));
    const bool cached = a.expected == Expected::kHit || a.expected == Expected::kFill;
    report_.traced_hits += a.expected == Expected::kHit;
    report_.traced_fills += a.expected == Expected::kFill;
    report_.hits += cached && answer.outcome == Outcome::kHit;
    report_.page_sizes_different += cached && a.page_lg2 != 0 &&
                                    answer.outcome != Outcome::kFaulted &&
                                    answer.page_lg2 != a.page_lg2;
  }
  (void)judge(a, answer);
}

// As the tables say, or as they said before a change that is not flushed yet.
void Comparison::take_synthetic(const PendingAccess& a, const Answer& answer) {
  const bool mapped = a.expected == Expected::kMapped;
  const bool faulted = answer.outcome == Outcome::kFaulted;
  Report::Compared& compared = mapped ? report_.translations : report_.faults;
  ++compared.count;
  report_.synthetic_lookups += !faulted;
  report_.hits += answer.outcome == Outcome::kHit;
  const auto freshness = judge(a, answer);
  if (freshness == Freshness::kLegalStale || (faulted && !mapped)) return;
  if (mapped && !faulted && answer.gpa == a.gpa) return;
  differs(compared.different, a.line,
          describe(a) + (mapped ? hex(a.gpa.value()) : std::string("not mapped")) +
              " in the tables, here " + describe(answer));
}

std::optional<Freshness> Comparison::judge(const PendingAccess& a, const Answer& answer) {
  // Faults and messages give nothing away; with translation off there is nothing to be stale.
  if (answer.outcome == Outcome::kFaulted || answer.outcome == Outcome::kInterrupt ||
      a.expected == Expected::kUnremapped)
    return std::nullopt;
  const Freshness freshness =
      check_.judge(*a.source, {.iova = a.iova, .gpa = answer.gpa, .access = a.access});
  switch (freshness) {
    case Freshness::kCurrent:
      ++report_.current;
      break;
    case Freshness::kLegalStale:
      ++report_.legal_stale;
      take_window(a, answer);
      break;
    case Freshness::kStale:
      differs(report_.stale, a.line, describe(a) + "stale: " + describe(answer));
      break;
  }
  return freshness;
}

void Comparison::take_window(const PendingAccess& a, const Answer& answer) {
  const std::uint64_t changed =
      check_.changed_at(*a.source, {.iova = a.iova, .gpa = answer.gpa, .access = a.access});
  const std::uint64_t window = a.line - std::min(a.line, changed);
  report_.stale_windows += window;
  report_.longest_stale_window = std::max(report_.longest_stale_window, window);
}

void Comparison::take_record(std::uint64_t line, const FaultRecordWritten& logged,
                             const FaultRecord& ours) {
  // What both sides must agree on (VT-d 10.4.14): SID, FR, T1, and the page in FI. F is not set
  // yet in a log; PASID, AT and the rest belong to other modes.
  constexpr Field<15, 0> kSource{"SID"};
  constexpr Field<39, 32> kReason{"FR"};
  constexpr Bit<62> kType1{"T1"};
  constexpr Bit<63> kFault{"F"};
  constexpr std::uint64_t kCompared = kSource.kMask | kReason.kMask | kType1.kMask;
  ++report_.fault_records.count;
  if (((logged.high ^ ours.high) & kCompared) != 0 || logged.low != ours.low ||
      !kFault.is_set(ours.high))
    differs(report_.fault_records.different, line,
            "fault record " + hex(logged.high) + " " + hex(logged.low) + " in the trace, here " +
                hex(ours.high) + " " + hex(ours.low));
}

void Comparison::take_wait(std::uint64_t line, bool completed) {
  ++report_.waits.count;
  if (!completed) differs(report_.waits.different, line, "a wait did not complete");
}

void Comparison::take_refusal(std::uint64_t line, const InvalidationDescriptor& descriptor) {
  differs(
      report_.descriptors_refused, line,
      "the unit refused descriptor " + hex(descriptor.words[0]) + " " + hex(descriptor.words[1]));
}

void Comparison::take_refusal(std::uint64_t line, const char* request, std::uint8_t status) {
  differs(report_.descriptors_refused, line,
          "the unit refused " + std::string(request) + " with status " + std::to_string(status));
}

}  // namespace weir::replay
