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
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "iommu/iommu.h"
#include "iommu/stats.h"
#include "replay/played_machine.h"
#include "replay/run_environment.h"
#include "replay/stale_check.h"

namespace weir::replay {

// What a guest's ftrace said, how it was understood, and which accesses were made up for it.
struct GuestTrace {
  std::uint64_t maps = 0;
  std::uint64_t unmaps = 0;
  std::uint64_t iotlb_flushes = 0;       // descriptors
  std::uint64_t context_flushes = 0;     // descriptors
  std::uint64_t interrupt_flushes = 0;   // not replayed
  std::uint64_t device_tlb_flushes = 0;  // not replayed
  std::uint64_t lost_events = 0;         // places where the guest's buffer overflowed

  // How the domains of maps and unmaps were found; these five together are maps + unmaps.
  std::uint64_t named_by_flush = 0;
  std::uint64_t named_by_device = 0;
  std::uint64_t named_by_attachment = 0;
  std::uint64_t named_by_tables = 0;  // an unmap, by which domain has it mapped
  std::uint64_t unnamed = 0;          // went to the model's own domain
  std::uint64_t collisions = 0;       // maps over what was mapped
  std::uint64_t unmapped_nothing = 0;
  std::uint64_t flushes_added = 0;  // by the model guest, for its own domain and changed contexts

  // Synthetic accesses: there are no others.
  std::uint64_t after_map = 0;
  std::uint64_t with_direction = 0;  // of these; the others read
  std::uint64_t before_flush = 0;    // to what was unmapped and not yet flushed
  std::uint64_t after_flush = 0;
  std::uint64_t left_out = 0;

  [[nodiscard]] bool has_flushes() const { return iotlb_flushes + context_flushes != 0; }
};

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

  std::optional<GuestTrace> guest_trace;  // of a guest's ftrace; nullopt: a QEMU log
  bool has_directions = false;            // the trace names the direction of every access

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
  std::uint64_t hits = 0;                 // of `lookups()`
  std::uint64_t traced_hits = 0;
  std::uint64_t traced_fills = 0;
  std::uint64_t traced_capacity_resets = 0;
  std::uint64_t synthetic_lookups = 0;   // synthetic accesses that were answered
  std::vector<std::string> differences;  // the first of them, a line each
  std::optional<PlayedBack> played;      // of a recording of weir's own; the rest is then its books

  // Every answer, judged.
  std::uint64_t current = 0;
  std::uint64_t legal_stale = 0;
  std::uint64_t stale = 0;
  // From the change of the tables to an answer that still was as before, in lines of the trace.
  std::uint64_t stale_windows = 0;  // the sum over all legal-stale answers
  std::uint64_t longest_stale_window = 0;
  StaleCheck::Windows open_windows;  // from a leaf's change to the completion that covers it

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
           waits.different == 0 && descriptors_refused == 0 && stale == 0 &&
           (!played || played->same());
  }
  // The accesses that the trace calls hit or fill, or that are synthetic and were answered.
  [[nodiscard]] std::uint64_t lookups() const {
    return traced_hits + traced_fills + synthetic_lookups;
  }
  [[nodiscard]] std::uint64_t misses() const { return lookups() - hits; }
};

void print_text(std::ostream& out, const Report& report);
// One JSON document for all of them.
void print_json(std::ostream& out, const std::vector<Report>& reports);

}  // namespace weir::replay
