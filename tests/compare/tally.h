// SPDX-License-Identifier: Apache-2.0
//
// What a comparison has met: reason x stage x level -> count. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "tests/compare/observed.h"

namespace weir::compare {

// A way for one format to stop a walk.
struct Cell {
  FaultReason reason = FaultReason::kNotPresent;
  unsigned level = 0;
  friend auto operator<=>(const Cell&, const Cell&) = default;
};

// What a format is to the walk: the first (or only) stage, or the one under another.
enum class Role : std::uint8_t { kUpper, kLower };

class Tally {
 public:
  void add(const Observed& o) {
    ++asked_;
    ok_ += o.ok;
    if (!o.ok) ++failed_[{o.stage, {o.reason, o.level}}];
  }
  void add(const Tally& other);

  [[nodiscard]] std::uint64_t asked() const { return asked_; }
  [[nodiscard]] std::uint64_t ok() const { return ok_; }
  [[nodiscard]] std::uint64_t count(Stage stage, Cell cell) const;
  [[nodiscard]] std::string table(const std::string& title) const;

 private:
  std::uint64_t asked_ = 0;
  std::uint64_t ok_ = 0;
  std::map<std::pair<Stage, Cell>, std::uint64_t> failed_;
};

// Every cell that tables of `kind` can come to. Not among them, because no walk can:
// - a root table that is unreadable below the root, any other table at the root;
// - kNotPresent of a VT-d second stage (no permission at all is no read or write permission);
// - kNoReadPermission of x86 (what is present can be read);
// - kNoExecutePermission of a lower stage (execution is the upper stage's business);
// - reserved bits in the last level of AMD v2 (its addresses use all of 51:12, and PS is PAT);
// - skipped bits below level 3 of AMD v1 (nothing lies between levels 2 and 1).
// And what is judged before the tables and not by the walk: MGAW, SRE, ERE, device-table rights.
[[nodiscard]] std::vector<Cell> reachable(model::FormatKind kind, Role role);

}  // namespace weir::compare
