// SPDX-License-Identifier: Apache-2.0
//
// Cases about invalidations and about room: what a flush costs, what readers notice of a guest that
// flushes all the time, and how many bytes an entry and a device take.
//
// As cases.h says.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "bench/cases.h"

namespace weir::bench {

class Machine;
class Workload;

namespace names {
inline constexpr std::string_view kHitBeside64 = "hit beside 1 M flushes/s, completed every 64";
inline constexpr std::string_view kHitBeside1 = "hit beside flushes, completed every 1";
inline constexpr std::string_view kHitBesideOwn = "hit beside 1 M flushes/s of its own pages";
inline constexpr std::string_view kMixed = "hit, 0.1 % flushes";
inline constexpr std::string_view kMixedTwo = "hit, 0.1 % flushes, 2 threads";
inline constexpr std::string_view kPageFlushFew = "page flush, 1 k resident";
inline constexpr std::string_view kPageFlushMany = "page flush, 64 k resident";
inline constexpr std::string_view kPageFlushQueued = "page flush through the queue, with its wait";
inline constexpr std::string_view kDomainFlushFew = "domain flush, 1 k resident";
inline constexpr std::string_view kDomainFlushMany = "domain flush, 64 k resident";
inline constexpr std::string_view kGlobalFlush = "global flush, 64 k resident";
inline constexpr std::string_view kBytesPerEntry = "bytes per IOTLB entry";
inline constexpr std::string_view kBytesPerDevice = "bytes per idle attached device";
inline constexpr std::string_view kAttach = "seconds to attach 10 000 devices and domains";
}  // namespace names

// Not named by a goal.
[[nodiscard]] bool is_flush_case_to_show(std::string_view name);

// `machine` makes the machine when the first case needs it.
void add_flush_cases(std::vector<Case>& cases, const std::function<bool(std::string_view)>& wanted,
                     const Workload& workload, const std::function<Machine&()>& machine);

}  // namespace weir::bench
