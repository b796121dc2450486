// SPDX-License-Identifier: Apache-2.0
//
// A case of the modes vtd-legacy, vtd-sm-ss and vtd-sm-fs as plain values, read out of its JSON
// line and checked whole before anything of it is carried out. Numbers are as the file writes them;
// what they mean to a register or a descriptor is the driver's business (vtd_driver.h).
//
// Pure values; any thread.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/ids.h"
#include "tools/verify/case_parts.h"
#include "tools/verify/fields.h"

namespace weir::verify {

struct VtdConfig {
  unsigned address_bits = 0;  // MGAW and the host address width
  bool caching_mode = false;
  bool through_queue = false;  // how invalidations are sent
  bool scalable = false;       // root table in scalable mode
  std::uint64_t cap = 0;
  std::uint64_t ecap = 0;
};

struct SetRoot {
  Gpa root;
};
struct Invalidate {
  enum class What : std::uint8_t { kContext, kIotlb, kPasidCache, kPasidIotlb };
  // As the descriptors of contexts and translations number them; kFine is a device or a page, and
  // kPasid belongs to the two of PASIDs.
  enum class Granularity : std::uint8_t { kGlobal = 1, kDomain = 2, kFine = 3, kPasid };
  What what = What::kContext;
  Granularity granularity = Granularity::kGlobal;
  std::uint16_t domain = 0;
  std::uint16_t source = 0;
  std::uint8_t function_mask = 0;
  std::uint32_t pasid = 0;
  Gpa address;  // page-aligned
  std::uint8_t address_mask = 0;
  bool leaf_only = false;
};
struct BadDescriptor {
  std::vector<std::uint64_t> words;        // two or four
  std::vector<std::uint64_t> queue_error;  // what FSTS.IQE may read
};
// Faulting writes with no clearing between them.
struct FaultBurst {
  struct Write {
    Requester requester;
    Iova iova;
  };
  std::vector<Write> writes;
  Requester first;
  std::uint64_t first_page = 0;  // FI
  std::uint8_t first_code = 0;
  std::vector<std::uint64_t> overflow;  // what FSTS.PFO may read
};

using VtdOperation = std::variant<EditMemory, SwitchTranslation, SetRoot, Invalidate, BadDescriptor,
                                  FaultBurst, Dma>;

struct VtdCase {
  VtdConfig config;
  Gpa root;
  std::vector<MemoryRun> memory;
  std::vector<VtdOperation> operations;
};

// Empty, or wrong in part, once `fields` has complained.
[[nodiscard]] VtdCase read_vtd_case(const Fields& fields, bool scalable);

}  // namespace weir::verify
