// SPDX-License-Identifier: Apache-2.0
//
// The figures as JSON; docs/bench.md says what every key means.
#include <nlohmann/json.hpp>
#include <ostream>

#include "bench/bench.h"

namespace weir::bench {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const RunFacts& facts) {
  return {{"version", facts.version},       {"build_type", facts.build_type},
          {"compiler", facts.compiler},     {"processor", facts.processor},
          {"processors", facts.processors}, {"load", facts.load},
          {"assertions", facts.assertions}};
}

Json to_json(const Measured& one) {
  Json json{{"name", one.name}, {"threads", one.threads}};
  if (!one.trouble.empty()) {
    json["trouble"] = one.trouble;
    return json;
  }
  json["repetitions"] = one.repetitions;
  json["median_ns"] = one.median_ns;
  json["lowest_ns"] = one.lowest_ns;
  json["highest_ns"] = one.highest_ns;
  if (one.hit_rate) json["hit_rate"] = *one.hit_rate;
  if (one.references) json["references"] = *one.references;
  if (one.amount) {
    json["amount"] = *one.amount;
    json["unit"] = one.unit;
  }
  return json;
}

Json to_json(const Figure& figure) {
  const Goal& goal = *figure.goal;
  Json json{{"id", goal.id},
            {"quantity", goal.quantity},
            {"state", to_string(figure.state)},
            {"required", is_required(goal)}};
  json["bound"] = goal.bound == Bound::kAtMost    ? "at most"
                  : goal.bound == Bound::kAtLeast ? "at least"
                                                  : "exactly";
  json["goal"] = goal.goal;
  if (goal.stretch != 0) {
    json["stretch"] = goal.stretch;
    json["stretch_met"] = figure.stretch_met;
  }
  if (goal.or_previous) json["or_previous"] = true;
  json["numerator"] = goal.numerator;
  if (goal.of != Of::kTime)
    json["of"] = goal.of == Of::kReferences ? "references" : "amount";
  else
    json["denominator"] = goal.denominator;
  if (figure.trouble.empty()) {
    json["ratio"] = figure.ratio;
    if (goal.of == Of::kTime) {
      json["numerator_ns"] = figure.numerator_ns;
      json["denominator_ns"] = figure.denominator_ns;
    }
  } else {
    json["trouble"] = figure.trouble;
  }
  return json;
}

template <typename Values>
Json list_of(const Values& values) {
  Json list = Json::array();
  for (const auto& value : values) list.push_back(to_json(value));
  return list;
}

}  // namespace

void print_json(const Report& report, std::ostream& out) {
  Json run = to_json(report.facts);
  run["quick"] = report.quick;
  run["pages"] = report.pages;
  run["iotlb_entries"] = report.iotlb_entries;
  run["requests"] = report.requests;
  const Json json{{"run", run},
                  {"figures", list_of(report.figures)},
                  {"cases", list_of(report.cases)},
                  {"notes", report.warnings}};
  out << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
}

}  // namespace weir::bench
