// SPDX-License-Identifier: Apache-2.0
//
// A FakeUnit that walks as real front ends do: through the unit's walk caches, setting accessed and
// dirty bits; with a hook between the reading of an entry and its update.
#pragma once

#include <functional>

#include "tests/iommu/fake_unit.h"

namespace weir::testing_iommu {

class TableUnit final : public FakeUnit {
 public:
  using FakeUnit::FakeUnit;

  // Set before threads start.
  std::function<void()> before_update;

  Result<pagetables::Leaf<Gpa>, Fault> walk(const iotlb::Context& context, const Request& piece,
                                            const WalkScope& scope) override;
};

}  // namespace weir::testing_iommu
