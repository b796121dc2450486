// SPDX-License-Identifier: Apache-2.0
//
// What came of the operations of one or several vector files, and how it is printed.
//
// The agreed set is the operations on which the maker of the vectors and QEMU agree: each must
// pass. The deviation set is those with a `qemu_deviation`: they are counted apart by its id,
// agreeing or differing with what the file permits, and never decide whether the run passed.
//
// Plain values; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <map>
#include <string>
#include <vector>

#include "tools/verify/machine.h"

namespace weir::verify {

// An operation whose outcome is to be shown in full.
struct Disagreement {
  std::string file;
  std::uint64_t case_number = 0;
  std::size_t index = 0;  // of the operation in its case, from 0
  std::string operation;  // its JSON
  Verdict verdict;
};

struct Deviation {
  std::uint64_t agree = 0;
  std::uint64_t differ = 0;
  std::vector<Disagreement> shown;
};

struct ReportLimits {
  std::size_t failures = 10;   // shown in full
  std::size_t deviations = 0;  // shown in full for each id
};

struct Tally {
  std::uint64_t cases = 0;
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
  std::uint64_t agree = 0;
  std::uint64_t differ = 0;
  std::uint64_t events_as_given = 0;  // flags, domain, address
  std::uint64_t events_otherwise = 0;
  std::uint64_t entries_as_given = 0;  // accessed and dirty bits
  std::uint64_t entries_otherwise = 0;

  [[nodiscard]] std::uint64_t agreed_set() const { return passed + failed; }
  [[nodiscard]] std::uint64_t deviation_set() const { return agree + differ; }
  [[nodiscard]] std::uint64_t operations() const { return agreed_set() + deviation_set(); }
};

class Report {
 public:
  explicit Report(ReportLimits limits) : limits_(limits) {}

  void begin_file(std::string path, std::string mode);
  void begin_case() { ++files_.back().tally.cases; }
  // `deviation` empty: of the agreed set. `operation` is its JSON, looked at only if it disagrees.
  void add(const std::string& deviation, const Verdict& verdict, std::uint64_t case_number,
           std::size_t index, const std::string& operation);

  [[nodiscard]] Tally total() const;
  void print(std::ostream& out) const;

 private:
  struct File {
    std::string path;
    std::string mode;
    Tally tally;
  };

  ReportLimits limits_;
  std::vector<File> files_;
  std::vector<Disagreement> failures_;
  std::map<std::string, Deviation> deviations_;
};

}  // namespace weir::verify
