// SPDX-License-Identifier: Apache-2.0
//
// What came of a replay, as plain numbers, and its two renderings: text for people, JSON for
// programs (docs/report.md), with the same content. Figures are as counted and measured; nothing is
// rounded before it is printed.
//
// Plain values and pure functions; any thread.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "iommu/iommu.h"
#include "iommu/stats.h"
#include "replay/run_environment.h"

namespace weir::replay {

struct Report {
  // What the run was.
  std::string file;
  std::string front_end;
  CacheOptions caches;
  RunEnvironment environment;
  bool in_parallel = false;  // other traces were replayed beside this one: times are not its own

  // The trace.
  std::uint64_t lines = 0;
  std::uint64_t events = 0;

  // The books of the unit (L9), and the faults again with both their names.
  Stats stats;
  std::map<std::pair<std::uint16_t, FaultReason>, std::uint64_t> fault_reasons;  // by VT-d's code

  // Against the trace. Everything but the counts of hits must be equal.
  struct Compared {
    std::uint64_t count = 0;
    std::uint64_t different = 0;
  };
  Compared translations;
  Compared faults;
  Compared fault_records;  // as the guest's driver reads them
  Compared waits;          // different: did not complete at once
  std::uint64_t page_sizes_different = 0;
  std::uint64_t descriptors_refused = 0;  // by the unit, which stopped its queue at them
  std::uint64_t hits = 0;                 // of the accesses that the trace calls hit or fill
  std::uint64_t traced_hits = 0;
  std::uint64_t traced_fills = 0;
  std::uint64_t traced_capacity_resets = 0;
  std::vector<std::string> differences;  // the first of them, a line each

  // Every answer, judged.
  std::uint64_t current = 0;
  std::uint64_t legal_stale = 0;
  std::uint64_t stale = 0;

  // What the model guest did.
  std::uint64_t leaves_written = 0;
  std::uint64_t leaves_removed = 0;
  std::uint64_t contexts_written = 0;
  std::uint64_t presumed_leaves = 0;  // the trace begins after the guest wrote them
  std::uint64_t presumed_contexts = 0;
  std::uint64_t interrupt_faults = 0;  // faults of interrupt remapping, which is not replayed

  // Time.
  double translate_ns = 0;  // all batches together
  double median_ns = 0;     // of an access, in the batch that half of the accesses are faster than
  std::uint64_t timed_accesses = 0;
  std::uint64_t timed_batches = 0;
  double total_seconds = 0;  // reading, writing tables, judging and translating

  [[nodiscard]] bool good() const {
    return translations.different == 0 && faults.different == 0 && fault_records.different == 0 &&
           waits.different == 0 && descriptors_refused == 0 && stale == 0;
  }
  // Of the same accesses as `hits`.
  [[nodiscard]] std::uint64_t misses() const { return traced_hits + traced_fills - hits; }
};

void print_text(std::ostream& out, const Report& report);
// One JSON document for all of them.
void print_json(std::ostream& out, const std::vector<Report>& reports);

}  // namespace weir::replay
