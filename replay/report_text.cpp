// SPDX-License-Identifier: Apache-2.0
#include <cstdarg>
#include <cstdio>
#include <ostream>
#include <string>

#include "replay/report.h"

namespace weir::replay {
namespace {

// Digits in threes: 41,826.
[[nodiscard]] std::string number(std::uint64_t value) {
  const std::string digits = std::to_string(value);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

[[nodiscard]] double ratio(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

class Lines {
 public:
  explicit Lines(std::ostream& out) : out_(out) {}

  [[gnu::format(printf, 2, 3)]] void line(const char* format, ...) {
    char text[512];
    std::va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    out_ << text << '\n';
  }
  void heading(const char* text) { out_ << '\n' << text << '\n'; }
  void fact(const char* name, const std::string& value) {
    out_ << "  " << name << std::string(14 - std::string_view(name).size(), ' ') << value << '\n';
  }

 private:
  std::ostream& out_;
};

[[nodiscard]] std::string cache_text(const CacheOptions& caches) {
  if (caches.organisation == CacheOptions::Organisation::kSetAssociative)
    return caches.entries == 0 ? "none" : number(caches.entries) + " entries, set-associative";
  return (caches.entries == 0 ? std::string("no limit") : number(caches.entries) + " entries") +
         ", exact LRU (reference)";
}

void print_run(Lines& lines, const Report& r) {
  const RunEnvironment& e = r.environment;
  lines.line("weir %s replay: %s", e.version.c_str(), r.file.c_str());
  if (r.played)
    lines.fact("trace", "recording, " + number(r.events) + " operations");
  else
    lines.fact("trace", std::string(r.guest_trace ? "guest ftrace, " : "QEMU log, ") +
                            number(r.lines) + " lines, " + number(r.events) + " events");
  lines.fact("front end", r.front_end);
  lines.fact("IOTLB", cache_text(r.caches));
  lines.fact("machine", e.processor + ", " + std::to_string(e.processors) +
                            (e.processors == 1 ? " processor" : " processors"));
  lines.fact("compiler", e.compiler + (e.optimised ? "" : ", not optimised") +
                             (e.sanitized ? ", with sanitizers" : ""));
  if (r.played) {
    lines.fact("not in trace", "data of transfers");
  } else if (r.guest_trace) {
    lines.fact("not in trace",
               "accesses (all synthetic), permissions (read and write), length (1)");
    lines.fact("", r.guest_trace->unnamed == 0
                       ? "domains (told by flushes, devices and attachments)"
                       : "domains (told by what is around; else one model domain)");
    if (!r.guest_trace->has_flushes())
      lines.fact("", "flushes (so nothing that was unmapped had to be forgotten)");
  } else {
    lines.fact("not in trace",
               r.has_directions
                   ? "length (1)"
                   : "direction (read where the leaf allows it, else write), length (1)");
  }
}

void print_guest_trace(Lines& lines, const GuestTrace& g) {
  const auto row = [&](const char* name, std::uint64_t count) {
    lines.line("  %-36s %12s", name, number(count).c_str());
  };
  lines.heading("What the guest did");
  row("maps", g.maps);
  row("unmaps", g.unmaps);
  row("flushes of translations", g.iotlb_flushes);
  row("flushes of contexts", g.context_flushes);
  row("flushes of others, not replayed", g.interrupt_flushes + g.device_tlb_flushes);
  if (g.lost_events != 0) row("places where the trace lost events", g.lost_events);
  lines.line("  domains by flush %s, device %s, attachment %s, tables %s, model domain %s",
             number(g.named_by_flush).c_str(), number(g.named_by_device).c_str(),
             number(g.named_by_attachment).c_str(), number(g.named_by_tables).c_str(),
             number(g.unnamed).c_str());
  row("maps over what was mapped", g.collisions);
  row("unmaps of nothing", g.unmapped_nothing);
  row("flushes that the model guest added", g.flushes_added);
  lines.heading("Synthetic accesses (the trace shows none)");
  row("after a map, one for each 4 KiB", g.after_map);
  row("  of these in a traced direction", g.with_direction);
  row("after an unmap, before its flush", g.before_flush);
  row("after that flush", g.after_flush);
  row("left out", g.left_out);
}

void print_outcomes(Lines& lines, const Report& r) {
  lines.heading("Requests, by how each ended");
  const std::uint64_t all = r.stats.pieces();
  for (std::size_t i = 0; i < kOutcomeCount; ++i) {
    const auto outcome = static_cast<Outcome>(i);
    const std::uint64_t count = r.stats.of(outcome);
    if (count != 0)
      lines.line("  %-36s %12s  %6.2f %%", std::string(to_string(outcome)).c_str(),
                 number(count).c_str(), 100 * ratio(count, all));
  }
  lines.line("  %-36s %12s", "all", number(all).c_str());
}

void print_faults(Lines& lines, const Report& r) {
  if (r.fault_reasons.empty()) return;
  lines.heading("Faults, by reason (the front end's code in hexadecimal)");
  for (const auto& [key, count] : r.fault_reasons) {
    char hex[8] = "-";
    if (key.first != 0) std::snprintf(hex, sizeof hex, "%x", static_cast<unsigned>(key.first));
    lines.line("  %2s  %-32s %12s", hex, std::string(to_string(key.second)).c_str(),
               number(count).c_str());
  }
}

void print_cache(Lines& lines, const Report& r) {
  // Only a log of QEMU says what another cache did.
  const bool both = !r.guest_trace && !r.played;
  const auto row = [&](const char* name, const std::string& here, const std::string& there) {
    if (both)
      lines.line("  %-36s %12s %12s", name, here.c_str(), there.c_str());
    else
      lines.line("  %-36s %12s", name, here.c_str());
  };
  const auto percent = [](double part) {
    char text[16];
    std::snprintf(text, sizeof text, "%.2f %%", 100 * part);
    return std::string(text);
  };
  const std::uint64_t lookups = r.lookups();
  lines.heading("IOTLB, translated accesses");
  if (both) row("", "here", "QEMU");
  row("hits", number(r.hits), number(r.traced_hits));
  row("misses", number(r.misses()), number(r.traced_fills));
  row("hit rate", percent(ratio(r.hits, lookups)), percent(ratio(r.traced_hits, lookups)));
  row("evicted for lack of room", number(r.stats.evictions),
      number(r.traced_capacity_resets) + " x all");
}

void print_walks(Lines& lines, const Report& r) {
  lines.heading("Table walks");
  lines.line("  %-36s %12s", "walks: misses, and faults in tables", number(r.stats.walks).c_str());
  lines.line("  %-36s %12s", "table references", number(r.stats.references).c_str());
  lines.line("  %-36s %12.2f", "table references per miss",
             ratio(r.stats.references, r.stats.walks));
  lines.line("  %-36s %12s", "context entries read", number(r.stats.context_reads).c_str());
}

void print_invalidations(Lines& lines, const Report& r) {
  lines.heading("Invalidations, by scope");
  lines.line("  %-16s %10s %10s %12s %12s %12s %16s", "", "commands", "leaf-only", "pages named",
             "removed", "walk caches", "removed nothing");
  for (std::size_t i = 0; i < iotlb::kScopeCount; ++i) {
    const InvalidationStats& s = r.stats.invalidations[i];
    if (s.commands == 0) continue;
    lines.line("  %-16s %10s %8.1f %% %12s %12s %12s %16s",
               std::string(to_string(static_cast<iotlb::Scope>(i))).c_str(),
               number(s.commands).c_str(), 100 * ratio(s.leaf_only, s.commands),
               number(s.covered).c_str(), number(s.removed).c_str(),
               number(s.removed_walk_entries).c_str(), number(s.useless).c_str());
  }
  if (r.played)
    lines.line("  waits that had to be parked: %s", number(r.stats.waits_parked).c_str());
  else
    lines.line("  waits: %s, of which %s had to be parked", number(r.waits.count).c_str(),
             number(r.stats.waits_parked).c_str());
}

void print_staleness(Lines& lines, const Report& r) {
  lines.heading("Staleness of what was answered");
  lines.line("  %-36s %12s  (must be 0)", "stale", number(r.stale).c_str());
  lines.line("  %-36s %12s  (changed, not yet invalidated)", "legal-stale",
             number(r.legal_stale).c_str());
  if (r.longest_stale_window != 0)
    lines.line("  %-36s %12.0f  (longest: %s lines of the trace)", "legal-stale after, on average",
               ratio(r.stale_windows, r.legal_stale), number(r.longest_stale_window).c_str());
  if (r.open_windows.count != 0)
    lines.line("  %-36s %12.0f  (longest: %s lines of the trace)",
               "changed leaf to completed flush", ratio(r.open_windows.lines, r.open_windows.count),
               number(r.open_windows.longest).c_str());
  lines.line("  %-36s %12s", "current", number(r.current).c_str());
}

void print_guest(Lines& lines, const Report& r) {
  lines.heading("What the model guest wrote");
  lines.line("  %-36s %12s", "leaves", number(r.leaves_written).c_str());
  lines.line("  %-36s %12s", "leaves that went", number(r.leaves_removed).c_str());
  lines.line("  %-36s %12s", "context entries", number(r.contexts_written).c_str());
  if (r.presumed_leaves + r.presumed_contexts != 0)
    lines.line("  presumed from before the trace: %s leaves, %s contexts",
               number(r.presumed_leaves).c_str(), number(r.presumed_contexts).c_str());
}

void print_time(Lines& lines, const Report& r) {
  const auto accesses = static_cast<double>(r.timed_accesses);
  const double each = r.timed_accesses == 0 ? 0 : r.translate_ns / accesses;
  const double clocks = static_cast<double>(r.timed_batches) * r.environment.clock_ns;
  lines.heading("Time");
  lines.line("  %-36s %9.1f ns  (median batch %.1f ns)", "per translation, hits and misses", each,
             r.median_ns);
  lines.line("  timed in %s batches of %.1f; the clock is %.1f ns of each translation",
             number(r.timed_batches).c_str(),
             r.timed_batches == 0 ? 0 : accesses / static_cast<double>(r.timed_batches),
             r.timed_accesses == 0 ? 0 : clocks / accesses);
  lines.line("  whole replay, reading included: %.3f s%s", r.total_seconds,
             r.in_parallel ? ", beside other traces" : "");
}

void print_played(Lines& lines, const Report& r) {
  const PlayedBack& played = *r.played;
  const auto row = [&](const char* name, const PlayedBack::Compared& compared) {
    lines.line("  %-36s %12s %12s", name, number(compared.count).c_str(),
               number(compared.different).c_str());
  };
  lines.heading("Time");
  lines.line("  whole replay, unpacking included: %.3f s%s", r.total_seconds,
             r.in_parallel ? ", beside other traces" : "");
  lines.heading("Against the recording");
  lines.line("  %-36s %12s %12s", "", "compared", "different");
  row("translations and faults of requests", played.pieces);
  row("of these, whether the IOTLB had them", played.hits);
  row("calls, by what they gave", played.calls);
  row("invalidations and interrupts", played.events);
  row("what units read and wrote in memory", played.memory);
  row("books", played.books);
  lines.line("  words of guest memory that came from the recording: %s",
             number(played.seen).c_str());
  if (played.inner_calls != 0)
    lines.line("  calls from inside sinks, not played back: %s",
               number(played.inner_calls).c_str());
  for (const std::string& difference : r.differences) lines.line("  %s", difference.c_str());
}

void print_comparison(Lines& lines, const Report& r) {
  const auto row = [&](const char* name, const Report::Compared& compared) {
    lines.line("  %-36s %12s %12s", name, number(compared.count).c_str(),
               number(compared.different).c_str());
  };
  lines.heading(r.guest_trace ? "Against the tables that the trace makes" : "Against the trace");
  lines.line("  %-36s %12s %12s", "", "compared", "different");
  row("translations", r.translations);
  row(r.guest_trace ? "accesses to what is not mapped" : "faults, by reason", r.faults);
  if (!r.guest_trace) row("fault records, as the guest reads", r.fault_records);
  row("waits that completed", r.waits);
  if (r.page_sizes_different != 0)
    lines.line("  answered with another page size: %s", number(r.page_sizes_different).c_str());
  if (r.descriptors_refused != 0)
    lines.line("  descriptors refused: %s", number(r.descriptors_refused).c_str());
  if (r.interrupt_faults != 0)
    lines.line("  faults of interrupt remapping, not replayed: %s",
               number(r.interrupt_faults).c_str());
  for (const std::string& difference : r.differences) lines.line("  %s", difference.c_str());
}

}  // namespace

void print_text(std::ostream& out, const Report& r) {
  Lines lines(out);
  print_run(lines, r);
  if (r.guest_trace) print_guest_trace(lines, *r.guest_trace);
  print_outcomes(lines, r);
  print_faults(lines, r);
  print_cache(lines, r);
  print_walks(lines, r);
  print_invalidations(lines, r);
  if (r.played) {
    print_played(lines, r);
    out << '\n' << (r.good() ? "same as the recording" : "NOT AS IT SHOULD BE") << '\n';
    return;
  }
  print_staleness(lines, r);
  print_guest(lines, r);
  print_time(lines, r);
  print_comparison(lines, r);
  const char* const good = r.guest_trace ? "same as the tables that the trace makes, nothing stale"
                                         : "same as the trace, nothing stale";
  out << '\n' << (r.good() ? good : "NOT AS IT SHOULD BE") << '\n';
}

}  // namespace weir::replay
