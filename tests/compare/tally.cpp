// SPDX-License-Identifier: Apache-2.0
#include "tests/compare/tally.h"

#include <algorithm>
#include <array>
#include <iomanip>
#include <sstream>

namespace weir::compare {

using model::FormatKind;

void Tally::add(const Tally& other) {
  asked_ += other.asked_;
  ok_ += other.ok_;
  for (const auto& [cell, n] : other.failed_) failed_[cell] += n;
}

std::uint64_t Tally::count(Stage stage, Cell cell) const {
  const auto found = failed_.find({stage, cell});
  return found == failed_.end() ? 0 : found->second;
}

std::string Tally::table(const std::string& title) const {
  constexpr unsigned kLevels = 7;
  std::map<std::pair<Stage, FaultReason>, std::array<std::uint64_t, kLevels>> rows;
  for (const auto& [cell, n] : failed_)
    rows[{cell.first, cell.second.reason}][cell.second.level] = n;
  std::ostringstream out;
  out << title << ": " << asked_ << " requests, " << ok_ * 100 / std::max<std::uint64_t>(asked_, 1)
      << " % succeed\n"
      << "  " << std::left << std::setw(52) << "level" << std::right;
  for (unsigned level = 0; level < kLevels; ++level) out << std::setw(10) << level;
  out << '\n';
  for (const auto& [row, counts] : rows) {
    const std::string name =
        std::string(to_string(row.first)) + ": " + std::string(to_string(row.second));
    out << "  " << std::left << std::setw(52) << name << std::right;
    for (const std::uint64_t n : counts) out << std::setw(10) << n;
    out << '\n';
  }
  return out.str();
}

std::vector<Cell> reachable(FormatKind kind, Role role) {
  const bool v1 = kind == FormatKind::kAmdV1;
  const bool ss = kind == FormatKind::kVtdSecondStage;
  const bool x86 = !v1 && !ss;
  const unsigned most = v1 ? 6 : 5;
  const unsigned fewest = v1 ? 1 : ss ? 3 : 4;
  std::vector<Cell> cells;
  cells.reserve(std::size_t{most} * 10);
  if (x86) cells.push_back({FaultReason::kNonCanonical, 0});
  // Of x86, AMD's alone: where addresses are not sign-extended.
  if (kind != FormatKind::kVtdFirstStage) cells.push_back({FaultReason::kBeyondInputWidth, 0});
  for (unsigned level = 1; level <= most; ++level) {
    std::vector<FaultReason> reasons = {FaultReason::kNoWritePermission,
                                        FaultReason::kUpdateFailed};
    if (!ss) reasons.push_back(FaultReason::kNotPresent);
    if (!x86) reasons.push_back(FaultReason::kNoReadPermission);
    if (x86) reasons.push_back(FaultReason::kNotUser);
    if (x86 && role == Role::kUpper) reasons.push_back(FaultReason::kNoExecutePermission);
    if (kind != FormatKind::kAmdV2 || level > 1) reasons.push_back(FaultReason::kReservedBits);
    if (v1) reasons.push_back(FaultReason::kLevelEncoding);
    if (v1 && level > 2) reasons.push_back(FaultReason::kSkippedBits);
    if (level < most) reasons.push_back(FaultReason::kTableUnreadable);
    if (level >= fewest) reasons.push_back(FaultReason::kRootTableUnreadable);
    for (const FaultReason reason : reasons) cells.push_back({reason, level});
  }
  return cells;
}

}  // namespace weir::compare
