// SPDX-License-Identifier: Apache-2.0
#include "tools/serve_counters.h"

#include <string>

namespace weir::tools {
namespace {

using Json = nlohmann::json;

[[nodiscard]] Json invalidations_of(const Stats& stats) {
  Json all = Json::object();
  for (std::size_t i = 0; i < stats.invalidations.size(); ++i) {
    const InvalidationStats& one = stats.invalidations[i];
    if (one.commands == 0) continue;
    all[std::string(to_string(static_cast<iotlb::Scope>(i)))] = {{"commands", one.commands},
                                                                 {"leaf_only", one.leaf_only},
                                                                 {"pages", one.covered},
                                                                 {"removed", one.removed},
                                                                 {"widened", one.widened}};
  }
  return all;
}

}  // namespace

Json serve_counters(vfio_user::Machine& machine, const ServeConfig& config) {
  const Stats stats = machine.iommu().stats();
  // The embedder's own changes (a client's memory, resets) are no commands of the guest.
  std::uint64_t invalidations = 0;
  for (const auto scope : {iotlb::Scope::kAll, iotlb::Scope::kDomain, iotlb::Scope::kPasid,
                           iotlb::Scope::kRange, iotlb::Scope::kStage2Range})
    invalidations += stats.invalidations[static_cast<std::size_t>(scope)].commands;
  Json json{{"connected", machine.connected()},
            {"enabled", machine.was_translating()},
            {"pieces", stats.pieces()},
            {"hits", stats.of(Outcome::kHit)},
            {"walked", stats.of(Outcome::kWalked)},
            {"passed_through", stats.of(Outcome::kPassedThrough)},
            {"bypassed", stats.of(Outcome::kBypassed)},
            {"interrupts", stats.of(Outcome::kInterrupt)},
            {"faulted", stats.of(Outcome::kFaulted)},
            {"walks", stats.walks},
            {"references", stats.references},
            {"fills", stats.fills},
            {"evictions", stats.evictions},
            {"context_reads", stats.context_reads},
            {"waits_parked", stats.waits_parked},
            {"invalidations", invalidations},
            {"invalidations_by_scope", invalidations_of(stats)},
            {"lost_unit_messages", machine.lost_unit_messages()},
            {"devices", Json::object()}};
  if (const auto checked = machine.checked()) {
    json["judged"] = checked->findings.judged;
    json["stale"] = checked->findings.stale;
    json["legal_stale"] = checked->findings.legal_stale;
    json["overtaken"] = checked->findings.overtaken;
    json["books_exact"] = checked->books_exact;
    if (const auto& first = checked->findings.first)
      json["first_stale"] = {{"requester", first->requester.bdf},
                             {"iova", first->iova.value()},
                             {"answered", first->answered.value()},
                             {"tables", first->tables ? Json(first->tables->value()) : Json()}};
  }
  for (const ServeConfig::Device& device : config.devices)
    json["devices"][device.address] = device.counters();
  return json;
}

}  // namespace weir::tools
