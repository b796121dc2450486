// SPDX-License-Identifier: Apache-2.0
//
// The keys are documented in docs/report.md; a change here is a change there.

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "replay/report.h"

namespace weir::replay {
namespace {

using Json = nlohmann::ordered_json;

// "context device" as a key: context_device.
[[nodiscard]] std::string key_of(std::string_view words) {
  std::string key(words);
  for (char& c : key)
    if (c == ' ') c = '_';
  return key;
}

[[nodiscard]] Json ratio(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) return nullptr;
  return static_cast<double>(part) / static_cast<double>(whole);
}

[[nodiscard]] Json not_in_trace_json(const Report& r) {
  if (r.played) return {"data"};
  if (!r.guest_trace && r.has_directions) return {"length"};
  if (!r.guest_trace) return {"direction", "length"};
  Json json{"accesses", "domain", "permissions", "length"};
  if (!r.guest_trace->has_flushes()) json.push_back("flushes");
  return json;
}

[[nodiscard]] Json run_json(const Report& r) {
  const bool reference = r.caches.organisation == CacheOptions::Organisation::kReference;
  const RunEnvironment& e = r.environment;
  return {{"file", r.file},
          {"trace", r.played ? "recording" : r.guest_trace ? "guest_ftrace" : "qemu_log"},
          {"synthetic", r.guest_trace.has_value()},
          {"lines", r.lines},
          {"events", r.events},
          {"front_end", r.front_end},
          {"iotlb_entries", r.caches.entries},
          {"iotlb_organisation", reference ? "reference" : "set_associative"},
          {"not_in_trace", not_in_trace_json(r)},
          {"version", e.version},
          {"compiler", e.compiler},
          {"optimised", e.optimised},
          {"sanitized", e.sanitized},
          {"processor", e.processor},
          {"processors", e.processors},
          {"in_parallel", r.in_parallel}};
}

[[nodiscard]] Json outcomes_json(const Report& r) {
  Json json = Json::object();
  for (std::size_t i = 0; i < kOutcomeCount; ++i) {
    const auto outcome = static_cast<Outcome>(i);
    json[key_of(to_string(outcome))] = r.stats.of(outcome);
  }
  json["all"] = r.stats.pieces();
  return json;
}

[[nodiscard]] Json faults_json(const Report& r) {
  Json json = Json::array();
  for (const auto& [key, count] : r.fault_reasons)
    json.push_back(
        {{"code", key.first}, {"reason", std::string(to_string(key.second))}, {"count", count}});
  return json;
}

[[nodiscard]] Json cache_json(const Report& r) {
  Json json{{"hits", r.hits},
            {"misses", r.misses()},
            {"hit_rate", ratio(r.hits, r.lookups())},
            {"evictions", r.stats.evictions},
            {"fills", r.stats.fills},
            {"refused_fills", r.stats.refused_fills}};
  if (!r.guest_trace && !r.played)
    json["qemu"] = {{"hits", r.traced_hits},
                    {"misses", r.traced_fills},
                    {"hit_rate", ratio(r.traced_hits, r.lookups())},
                    {"capacity_resets", r.traced_capacity_resets}};
  return json;
}

[[nodiscard]] Json guest_trace_json(const GuestTrace& g) {
  return {{"maps", g.maps},
          {"unmaps", g.unmaps},
          {"flushes",
           {{"iotlb", g.iotlb_flushes},
            {"context", g.context_flushes},
            {"interrupt", g.interrupt_flushes},
            {"device_tlb", g.device_tlb_flushes},
            {"added", g.flushes_added}}},
          {"lost_events", g.lost_events},
          {"domains",
           {{"by_flush", g.named_by_flush},
            {"by_device", g.named_by_device},
            {"by_attachment", g.named_by_attachment},
            {"by_tables", g.named_by_tables},
            {"model_domain", g.unnamed}}},
          {"collisions", g.collisions},
          {"unmapped_nothing", g.unmapped_nothing},
          {"accesses",
           {{"synthetic", true},
            {"after_map", g.after_map},
            {"with_direction", g.with_direction},
            {"before_flush", g.before_flush},
            {"after_flush", g.after_flush},
            {"left_out", g.left_out}}}};
}

[[nodiscard]] Json invalidations_json(const Report& r) {
  Json json = Json::object();
  for (std::size_t i = 0; i < iotlb::kScopeCount; ++i) {
    const InvalidationStats& s = r.stats.invalidations[i];
    if (s.commands == 0) continue;
    json[key_of(to_string(static_cast<iotlb::Scope>(i)))] = {
        {"commands", s.commands},
        {"leaf_only", s.leaf_only},
        {"leaf_only_share", ratio(s.leaf_only, s.commands)},
        {"covered_pages", s.covered},
        {"removed", s.removed},
        {"removed_walk_entries", s.removed_walk_entries},
        {"removed_nothing", s.useless},
        {"widened", s.widened}};
  }
  return json;
}

[[nodiscard]] Json compared_json(const Report& r) {
  const auto pair = [](const Report::Compared& c) {
    return Json{{"count", c.count}, {"different", c.different}};
  };
  return {{"translations", pair(r.translations)},
          {"faults", pair(r.faults)},
          {"fault_records", pair(r.fault_records)},
          {"waits", pair(r.waits)},
          {"page_sizes_different", r.page_sizes_different},
          {"descriptors_refused", r.descriptors_refused},
          {"interrupt_faults", r.interrupt_faults},
          {"differences", r.differences}};
}

[[nodiscard]] Json time_json(const Report& r) {
  const auto accesses = static_cast<double>(r.timed_accesses);
  return {{"translation_ns", r.timed_accesses == 0 ? Json() : Json(r.translate_ns / accesses)},
          {"median_batch_ns", r.timed_accesses == 0 ? Json() : Json(r.median_ns)},
          {"translations", r.timed_accesses},
          {"batches", r.timed_batches},
          {"clock_ns", r.environment.clock_ns},
          {"total_seconds", r.total_seconds}};
}

[[nodiscard]] Json played_json(const PlayedBack& p) {
  const auto pair = [](const PlayedBack::Compared& c) {
    return Json{{"count", c.count}, {"different", c.different}};
  };
  return {{"operations", p.operations}, {"pieces", pair(p.pieces)},
          {"hits", pair(p.hits)},       {"calls", pair(p.calls)},
          {"events", pair(p.events)},
          {"memory", pair(p.memory)},   {"books", pair(p.books)},
          {"words_seen", p.seen},       {"inner_calls", p.inner_calls}};
}

[[nodiscard]] Json report_json(const Report& r) {
  Json json{
      {"good", r.good()},
      {"run", run_json(r)},
      {"requests", outcomes_json(r)},
      {"faults", faults_json(r)},
      {"iotlb", cache_json(r)},
      {"walks",
       {{"walks", r.stats.walks},
        {"references", r.stats.references},
        {"references_per_walk", ratio(r.stats.references, r.stats.walks)},
        {"context_reads", r.stats.context_reads}}},
      {"invalidations", invalidations_json(r)},
      {"waits_parked", r.stats.waits_parked},
      {"wait_ns",
       {{"total", r.stats.wait_time.count()}, {"longest", r.stats.longest_wait.count()}}},
      {"staleness",
       {{"stale", r.stale},
        {"legal_stale", r.legal_stale},
        {"current", r.current},
        {"window_lines",
         {{"mean", ratio(r.stale_windows, r.legal_stale)}, {"longest", r.longest_stale_window}}},
        {"open_lines",
         {{"changes", r.open_windows.count},
          {"mean", ratio(r.open_windows.lines, r.open_windows.count)},
          {"longest", r.open_windows.longest}}}}},
      {"guest",
       {{"leaves_written", r.leaves_written},
        {"leaves_removed", r.leaves_removed},
        {"contexts_written", r.contexts_written},
        {"presumed_leaves", r.presumed_leaves},
        {"presumed_contexts", r.presumed_contexts}}},
      {"time", time_json(r)},
      {"compared", compared_json(r)}};
  if (r.played) json["played"] = played_json(*r.played);
  if (r.guest_trace) json["guest_trace"] = guest_trace_json(*r.guest_trace);
  return json;
}

}  // namespace

void print_json(std::ostream& out, const std::vector<Report>& reports) {
  Json all = Json::array();
  for (const Report& report : reports) all.push_back(report_json(report));
  // A file name may be any bytes; what is not UTF-8 is replaced.
  out << Json{{"reports", all}}.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

}  // namespace weir::replay
