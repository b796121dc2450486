// SPDX-License-Identifier: Apache-2.0
//
// Guest memory as a walk under a PASID entry reads it: like DirectReader, but accessed and dirty
// bits are set only where walks snoop (PWSNP); where they do not, a bit that is due is a fault of
// its own (7Ch, 90h).
//
// A reader lives for one walk on one thread.
#pragma once

#include "pagetables/readers.h"

namespace weir::vtd {

class SnoopingReader : public pagetables::DirectReader {
 public:
  enum class Updates : std::uint8_t { kMake, kRefuse };

  SnoopingReader(const pagetables::PhysicalMemory& memory, pagetables::Trace trace, Updates updates)
      : DirectReader(memory, trace), updates_(updates) {}

  [[nodiscard]] Result<bool, pagetables::WalkFailure> update(Gpa at, std::uint64_t seen,
                                                             std::uint64_t desired) {
    if (updates_ == Updates::kRefuse)
      return Failure{pagetables::WalkFailure{.reason = FaultReason::kUpdateFailed}};
    return DirectReader::update(at, seen, desired);
  }

 private:
  Updates updates_;
};
static_assert(pagetables::TableReader<SnoopingReader>);

}  // namespace weir::vtd
