// SPDX-License-Identifier: Apache-2.0
#include "tests/truth/guest_view.h"

namespace weir::truth {
namespace {

using Type = SeenFunction::Type;

[[nodiscard]] Type type_of(FunctionKind kind) {
  switch (kind) {
    case FunctionKind::kIntegrated:
    case FunctionKind::kEndpoint:
    case FunctionKind::kConventional:
      return Type::kPlain;
    case FunctionKind::kRootPort:
    case FunctionKind::kUpstreamPort:
    case FunctionKind::kDownstreamPort:
      return Type::kPciePort;
    case FunctionKind::kPcieToPciBridge:
      return Type::kPcieToPci;
    case FunctionKind::kPciBridge:
      return Type::kPciBridge;
  }
  return Type::kPlain;
}

}  // namespace

GuestView::GuestView(const Topology& t, Of which) {
  for (std::uint32_t i = 0; i < t.functions(); ++i) {
    const Function& f = t[{i}];
    if (!f.present && which == Of::kPresent) continue;
    const Requester at = t.number({i});
    SeenFunction seen{.id = i,
                      .segment = at.segment,
                      .bdf = at.bdf,
                      .type = type_of(f.kind),
                      .secondary = f.secondary,
                      .subordinate = f.subordinate,
                      .quirk = f.alias,
                      .phantom_bits = f.phantom_bits,
                      .root_port = f.kind == FunctionKind::kRootPort};
    if (f.physical) seen.physical = t.number(*f.physical).bdf;
    by_number_[{seen.segment, seen.bdf}] = functions_.size();
    if (seen.bridge()) by_secondary_[{seen.segment, seen.secondary}] = functions_.size();
    functions_.push_back(std::move(seen));
  }
  for (const NamedDevice& d : t.named_devices())
    named_.push_back({.path = d.path,
                      .hid = d.hid,
                      .uid = d.uid,
                      .segment = d.as.segment,
                      .number = d.as.bdf,
                      .mmio = d.mmio});
  for (const InterruptSource& s : t.interrupt_sources())
    sources_.push_back({.hpet = s.kind == InterruptSource::Kind::kHpet,
                        .id = s.id,
                        .segment = s.as.segment,
                        .number = s.as.bdf});
}

const SeenFunction* GuestView::find(std::uint16_t segment, unsigned bdf) const {
  const auto found = by_number_.find({segment, bdf});
  return found == by_number_.end() ? nullptr : &functions_[found->second];
}

const SeenFunction* GuestView::above(const SeenFunction& function) const {
  const auto found = by_secondary_.find({function.segment, function.bdf >> 8});
  return found == by_secondary_.end() ? nullptr : &functions_[found->second];
}

std::vector<std::uint16_t> GuestView::aliases(const SeenFunction& function) const {
  std::vector<std::uint16_t> all{function.bdf};
  if (function.quirk) all.push_back(*function.quirk);
  for (const SeenFunction* bridge = above(function); bridge; bridge = above(*bridge)) {
    if (bridge->type == Type::kPcieToPci)
      all.push_back(static_cast<std::uint16_t>(bridge->secondary << 8));
    if (bridge->type == Type::kPciBridge) all.push_back(bridge->bdf);
  }
  return all;
}

std::set<std::uint16_t> GuestView::requests(const SeenFunction& function) const {
  const std::uint16_t last = aliases(function).back();
  if (last != function.bdf) return {last};
  std::set<std::uint16_t> all;
  const unsigned low = (1U << (3 - function.phantom_bits)) - 1;
  for (unsigned f = 0; f < 8; ++f)
    if ((f & low) == (function.bdf & 7U & low))
      all.insert(static_cast<std::uint16_t>((function.bdf & ~7U) | f));
  all.insert(function.bdf);
  return all;
}

}  // namespace weir::truth
