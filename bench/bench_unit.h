// SPDX-License-Identifier: Apache-2.0
//
// The least that a unit can be: every requester is in one domain with one table. What the core does
// for a hit does not depend on the vendor, so figures of hits need no more. Made and used by
// Machine; any thread after construction.
#pragma once

#include "iommu/unit.h"
#include "pagetables/readers.h"
#include "pagetables/vtd_second_stage.h"

namespace weir::bench {

class BenchUnit final : public Unit {
 public:
  static constexpr unsigned kLevels = 4;
  static constexpr auto kRules = pagetables::VtdSecondStage::rules({});

  BenchUnit(UnitHost& host, Gpa root) : root_(root) { host.set_mode(UnitMode::kTranslating); }

  [[nodiscard]] Result<iotlb::Context, Fault> read_context(
      const Request&, const pagetables::PhysicalMemory&) override {
    return iotlb::Context{.stage2_root = root_.value(),
                          .domain = {1},
                          .kind = iotlb::ContextKind::kStage2,
                          .stage2_levels = kLevels,
                          .input_bits = 48};
  }
  [[nodiscard]] std::optional<Fault> check(const iotlb::Context&, const Request&) override {
    return std::nullopt;
  }
  [[nodiscard]] Result<pagetables::Leaf<Gpa>, Fault> walk(const iotlb::Context& context,
                                                          const Request& piece,
                                                          const WalkScope& scope) override {
    pagetables::DirectReader reader(scope.memory);
    const auto leaf = pagetables::walk<pagetables::VtdSecondStage>(
        kRules, reader, Gpa(context.stage2_root), context.stage2_levels, piece.iova.value(),
        Ask{.access = piece.access});
    if (leaf) return *leaf;
    return Failure{Fault{.request = piece, .reason = leaf.error().reason, .stage = Stage::kStage2}};
  }
  void record(const Fault&) override {}
  void poll() override {}
  void reset() override {}

 private:
  const Gpa root_;
};

}  // namespace weir::bench
