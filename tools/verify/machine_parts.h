// SPDX-License-Identifier: Apache-2.0
//
// What the machines of all modes are put together from: the premises in a file's header, the checks
// that a case stays within them, the ports of its devices, and verdicts.
//
// Functions without state; any thread. What is wrong with the input becomes a complaint of the
// fields it was read from.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "iommu/iommu.h"
#include "tools/verify/case_parts.h"
#include "tools/verify/fields.h"
#include "tools/verify/guest_ram.h"
#include "tools/verify/machine.h"

namespace weir::verify {

// What a file says of all its cases.
struct Premises {
  GuestRam ram;
  const std::vector<Requester> devices;
  const MachineOptions options;
};

// `ram` (page-aligned ranges that are not empty) and `devices` of the header. Nothing: it was
// complained about.
[[nodiscard]] std::optional<Premises> read_premises(const Fields& header,
                                                    const MachineOptions& options);

// Complains about a device that the header does not have, or runs outside RAM.
void check_device(const Premises& premises, Requester device, const Fields& fields);
void check_runs(const Premises& premises, const std::vector<MemoryRun>& runs, const Fields& fields);

void write_runs(GuestRam& ram, const std::vector<MemoryRun>& runs);

using Ports = std::map<Requester, std::unique_ptr<DmaPort>>;
[[nodiscard]] Result<Ports, std::string> attach_all(Iommu& iommu,
                                                    const std::vector<Requester>& devices);

// Of an operation that has no result to compare.
[[nodiscard]] Verdict carried_out(const Result<Done, std::string>& outcome);

// Of one that has: `oddity` is what makes it wrong whatever is permitted; `permits(one, result)`
// says whether a permitted result is the one that came.
template <typename Outcome, typename Permits>
[[nodiscard]] Verdict judge(const std::vector<Outcome>& permitted,
                            const std::optional<Outcome>& result, std::string_view oddity,
                            Permits permits) {
  Verdict verdict;
  for (const Outcome& one : permitted) {
    if (!verdict.expected.empty()) verdict.expected += " or ";
    verdict.expected += in_words(one);
  }
  verdict.got = result ? in_words(*result) : "nothing clear";
  if (!oddity.empty()) verdict.got.append("; ").append(oddity);
  verdict.agrees =
      result && oddity.empty() &&
      std::ranges::any_of(permitted, [&](const Outcome& one) { return permits(one, *result); });
  return verdict;
}

}  // namespace weir::verify
