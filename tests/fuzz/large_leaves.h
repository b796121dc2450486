// SPDX-License-Identifier: Apache-2.0
//
// Large leaves of AMD-Vi v1 are written in several adjoining entries, and software has to write the
// same in all of them (48882, 2.2.3). Where it does not, a walk answers by the copy it reads, and a
// cached translation by the copy that was read first: both are right, and they differ. So that a
// fuzzer can tell this from a wrong answer, a reader here remembers which such leaves a walk met.
//
// One thread.
#pragma once

#include <bit>
#include <vector>

#include "pagetables/amd_v1.h"
#include "pagetables/readers.h"
#include "tests/fuzz/walk_world.h"

namespace weir::pagetables::fuzz {

class LargeLeaves {
 public:
  explicit LargeLeaves(Memory& memory) : memory_(memory) {}

  void forget() { met_.clear(); }
  void note(Gpa at, std::uint64_t entry) {
    if (v1::kPresent.is_set(entry) && v1::kNextLevel.get(entry) == v1::kLeafOfEncodedSize)
      met_.push_back(at);
  }
  // Copies of a leaf that was met say different things. Accessed bits are no difference: a walk
  // sets that of the copy it reads. Dirty bits are: a page is cached as writable by them.
  [[nodiscard]] bool unlike_copies() const {
    const std::vector<std::uint64_t>& words = memory_.words();
    for (const Gpa at : met_) {
      const std::size_t index = at.value() / sizeof(std::uint64_t);
      const auto ones = static_cast<unsigned>(std::countr_one(v1::kAddress.get(words[index])));
      const std::size_t copies = std::size_t{2} << ones % AmdV1::kIndexBits;
      const std::size_t first = index / copies * copies;
      for (std::size_t i = first; i < first + copies; ++i)
        if (((words[i] ^ words[index]) & ~std::uint64_t{v1::kAccessed.kMask}) != 0) return true;
    }
    return false;
  }

 private:
  Memory& memory_;
  std::vector<Gpa> met_;
};

class WatchingReader {
 public:
  using Space = Gpa;

  WatchingReader(const PhysicalMemory& memory, LargeLeaves& leaves)
      : reader_(memory), leaves_(leaves) {}

  [[nodiscard]] Result<std::uint64_t, WalkFailure> load(Gpa at) {
    auto word = reader_.load(at);
    if (word) leaves_.note(at, *word);
    return word;
  }
  [[nodiscard]] Result<bool, WalkFailure> update(Gpa at, std::uint64_t seen,
                                                 std::uint64_t desired) {
    return reader_.update(at, seen, desired);
  }
  [[nodiscard]] std::uint32_t take_references() { return reader_.take_references(); }

 private:
  DirectReader reader_;
  LargeLeaves& leaves_;
};
static_assert(TableReader<WatchingReader>);

}  // namespace weir::pagetables::fuzz
