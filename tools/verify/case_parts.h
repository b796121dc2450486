// SPDX-License-Identifier: Apache-2.0
//
// What cases of several modes have in common: runs of memory, devices, DMA and what may come of it,
// and how a file writes them down.
//
// Pure values; any thread. What is wrong with the input becomes a complaint of `fields`.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/access.h"
#include "base/address.h"
#include "base/ids.h"
#include "tools/verify/fields.h"

namespace weir::verify {

// Consecutive 64-bit words.
struct MemoryRun {
  Gpa first;
  std::vector<std::uint64_t> words;
};

// What a DMA may come to.
struct Reached {
  Gpa gpa;
  friend bool operator==(Reached, Reached) = default;
};
struct BecameInterrupt {
  friend bool operator==(BecameInterrupt, BecameInterrupt) = default;
};
struct Blocked {
  bool recorded = false;
  std::uint8_t code = 0;  // compared only when recorded: the guest sees no code otherwise
  friend bool operator==(Blocked a, Blocked b) {
    return a.recorded == b.recorded && (!a.recorded || a.code == b.code);
  }
};
using DmaResult = std::variant<Reached, BecameInterrupt, Blocked>;

[[nodiscard]] std::string in_words(const DmaResult& result);

struct Dma {
  Requester requester;
  Iova iova;
  Access access = Access::kRead;
  unsigned size = 0;                 // 1…4096, inside one page
  std::vector<DmaResult> permitted;  // `res` first, then `also`
  std::vector<MemoryRun> updated;    // paging entries whose accessed or dirty bits it sets
};

struct EditMemory {
  std::vector<MemoryRun> runs;
};
struct SwitchTranslation {
  bool on = false;
};
// Runs of words; complains about `key` otherwise.
[[nodiscard]] std::vector<MemoryRun> read_runs(const Fields& fields, const char* key);

// "bb:dd.f" of segment 0; complains about `key` otherwise.
[[nodiscard]] Requester read_bdf(const Fields& fields, const char* key);
// The same for `text`, which was found at `key`.
[[nodiscard]] Requester parse_bdf(const Fields& fields, const char* key, const std::string& text);

// Device, address, direction and size of an access: all of a Dma but what may come of it.
[[nodiscard]] Dma read_access(const Fields& fields);

// Calls `take` with what is expected (`res`), then with everything else that is permitted (`also`).
template <typename Take>
void for_each_permitted(const Fields& fields, Take take) {
  take(fields.object("res"));
  if (fields.has("also"))
    for (const Fields& one : fields.objects("also")) take(one);
}

// Gives the operations to `take` one after the other, until something was complained about.
template <typename Take>
void for_each_operation(const Fields& fields, Take take) {
  for (const Fields& one : fields.objects("ops")) {
    take(one);
    if (!fields.ok()) break;
  }
}

}  // namespace weir::verify
