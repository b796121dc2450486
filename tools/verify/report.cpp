// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/report.h"

#include <ostream>
#include <string_view>
#include <utility>

namespace weir::verify {
namespace {

void print_in_full(std::ostream& out, std::string_view title, const Disagreement& one) {
  out << title << " in " << one.file << ", case " << one.case_number << ", operation " << one.index
      << "\n  operation: " << one.operation << "\n  expected:  " << one.verdict.expected
      << "\n  got:       " << one.verdict.got << "\n";
}

}  // namespace

void Report::begin_file(std::string path, std::string mode) {
  files_.push_back({std::move(path), std::move(mode), {}});
}

void Report::add(const std::string& deviation, const Verdict& verdict, std::uint64_t case_number,
                 std::size_t index, const std::string& operation) {
  File& file = files_.back();
  const auto in_full = [&] {
    return Disagreement{file.path, case_number, index, operation, verdict};
  };
  file.tally.events_as_given += verdict.events_as_given;
  file.tally.events_otherwise += verdict.events_otherwise;
  file.tally.entries_as_given += verdict.entries_as_given;
  file.tally.entries_otherwise += verdict.entries_otherwise;
  if (deviation.empty()) {
    ++(verdict.agrees ? file.tally.passed : file.tally.failed);
    if (!verdict.agrees && failures_.size() < limits_.failures) failures_.push_back(in_full());
    return;
  }
  Deviation& counted = deviations_[deviation];
  ++(verdict.agrees ? file.tally.agree : file.tally.differ);
  ++(verdict.agrees ? counted.agree : counted.differ);
  if (!verdict.agrees && counted.shown.size() < limits_.deviations) {
    counted.shown.push_back(in_full());
  }
}

Tally Report::total() const {
  Tally sum;
  for (const File& file : files_) {
    sum.cases += file.tally.cases;
    sum.passed += file.tally.passed;
    sum.failed += file.tally.failed;
    sum.agree += file.tally.agree;
    sum.differ += file.tally.differ;
  }
  return sum;
}

void Report::print(std::ostream& out) const {
  for (const File& file : files_) {
    const Tally& tally = file.tally;
    out << file.path << ": " << file.mode << ", " << tally.cases << " cases, " << tally.operations()
        << " operations: " << tally.passed << " passed, " << tally.failed << " failed, "
        << tally.deviation_set() << " where QEMU deviates\n";
    if (tally.events_as_given + tally.events_otherwise != 0)
      out << "  event flags, domain and address, counted apart: " << tally.events_as_given
          << " as given, " << tally.events_otherwise << " otherwise\n";
    if (tally.entries_as_given + tally.entries_otherwise != 0)
      out << "  accessed and dirty bits, counted apart: " << tally.entries_as_given
          << " entries as given, " << tally.entries_otherwise << " otherwise\n";
  }
  for (const Disagreement& failure : failures_) print_in_full(out, "FAILED", failure);
  const Tally sum = total();
  if (sum.failed > failures_.size()) {
    out << "and " << sum.failed - failures_.size() << " more failed\n";
  }
  for (const auto& [id, counted] : deviations_) {
    out << "deviation " << id << ": " << counted.agree << " agree, " << counted.differ
        << " differ\n";
    for (const Disagreement& one : counted.shown) print_in_full(out, "  differs", one);
  }
  out << "checked: " << sum.agreed_set() << " agreed-set + " << sum.deviation_set()
      << " deviation-set = " << sum.operations() << " operations\n"
      << sum.passed << " passed, " << sum.failed << " failed\n";
}

}  // namespace weir::verify
