// SPDX-License-Identifier: Apache-2.0
//
// What carries out the cases of one mode: a machine with guest memory, devices and a remapping
// unit, driven the way a guest drives it. One class per mode; machine.cpp knows which there are,
// and a new mode adds a class and a line there.
//
// For one thread. A machine is made once per file and loaded with one case after another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "iommu/iommu.h"
#include "tools/verify/fields.h"

namespace weir::verify {

// How one operation came out. Operations without a result to compare agree when they could be
// carried out.
struct Verdict {
  bool agrees = false;
  std::string expected;  // in words: `res`, then what else is permitted
  std::string got;
  // Where evidence from elsewhere overrules what the vector says of an operation that it does not
  // mark as a deviation: an id, under which it is then counted as one. Empty: nowhere.
  std::string overruled{};
  // Events whose flags, domain and address are, or are not, what the vector says: counted apart,
  // never part of `agrees`.
  std::uint64_t events_as_given = 0;
  std::uint64_t events_otherwise = 0;
  // Paging entries of which the vector says what they hold afterwards (accessed and dirty bits):
  // counted apart, never part of `agrees`.
  std::uint64_t entries_as_given = 0;
  std::uint64_t entries_otherwise = 0;
};

class Machine {
 public:
  virtual ~Machine() = default;

  // Reads the whole case and brings the machine into the state before its first operation. What is
  // wrong with the case is complained about in `fields` (and nothing of it is carried out); a
  // sentence is returned where this build cannot be what the case asks for.
  [[nodiscard]] virtual Result<Done, std::string> load(const Fields& fields) = 0;

  // Carries out the operation of that index. REQUIRES: load() succeeded, and every operation before
  // it was run, in order.
  [[nodiscard]] virtual Verdict run(std::size_t index) = 0;
};

struct MachineOptions {
  CacheOptions caches;  // what results are permitted does not depend on them
};

// Null: a mode that is not built, or a header that was complained about.
[[nodiscard]] std::unique_ptr<Machine> make_machine(const std::string& mode, const Fields& header,
                                                    const MachineOptions& options);
[[nodiscard]] bool mode_is_built(const std::string& mode);

}  // namespace weir::verify
