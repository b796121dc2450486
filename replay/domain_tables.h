// SPDX-License-Identifier: Apache-2.0
//
// One tree of page tables in the model guest's memory, second-stage or first-stage, as its driver
// keeps it: leaves are written through the table builder, and noted so that a change can be told
// from a repetition. It flushes nothing.
//
// For one thread. The memory must outlive it; it never moves.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/access.h"
#include "base/ids.h"
#include "base/result.h"
#include "pagetables/table_builder.h"
#include "pagetables/vtd_second_stage.h"
#include "pagetables/x86_first_stage.h"
#include "replay/leaf_map.h"
#include "replay/model_memory.h"
#include "replay/stale_check.h"

namespace weir::replay {

class DomainTables {
 public:
  enum class Stage : std::uint8_t { kFirst, kSecond };
  // Leaves that the tables no longer hold; the failure says why they could not be written.
  using Gone = Result<std::vector<MappedLeaf>, std::string>;

  // `root` is a zeroed page. `levels` 3…5.
  DomainTables(ModelMemory& memory, DomainId domain, Gpa root, unsigned levels,
               Stage stage = Stage::kSecond);
  DomainTables(const DomainTables&) = delete;
  DomainTables& operator=(const DomainTables&) = delete;

  [[nodiscard]] DomainId domain() const { return domain_; }
  [[nodiscard]] Gpa root() const { return root_; }
  [[nodiscard]] StaleCheck::Tree& said() { return said_; }
  [[nodiscard]] const LeafMap& leaves() const { return said_.leaves; }

  // Writes a leaf of 4 KiB, 2 MiB or 1 GiB; what was in its place goes.
  [[nodiscard]] Gone map(const MappedLeaf& leaf);
  // Makes `access` to the page of `iova` impossible: takes the permission away, and the leaf with
  // it when none is left. First-stage leaves cannot forbid reading and nothing else.
  [[nodiscard]] Gone forbid(Iova iova, Access access);
  // Takes away every leaf that overlaps the range, whole.
  [[nodiscard]] Gone unmap(AddressRange<Iova> range);

 private:
  [[nodiscard]] Result<Done, std::string> erase(const MappedLeaf& leaf);

  using SecondStage = pagetables::TableBuilder<pagetables::VtdSecondStage>;
  using FirstStage = pagetables::TableBuilder<pagetables::X86FirstStage>;

  const DomainId domain_;
  const Gpa root_;
  const Stage stage_;
  std::variant<SecondStage, FirstStage> builder_;
  StaleCheck::Tree said_;
};

}  // namespace weir::replay
