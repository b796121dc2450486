// SPDX-License-Identifier: Apache-2.0
//
// What the parts of a unit share: the registers under one lock, the requests that register writes
// leave behind, and the list of tickets that something waits for.
//
// Register writes change bits and leave requests under the lock. One thread at a time, the runner
// (unit.cpp), takes the requests up with no lock held, because that means calling the core, writing
// guest memory and raising interrupts, all of which may call back. Whoever comes meanwhile leaves a
// note; the runner makes another pass for it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "base/mutex.h"
#include "iommu/unit.h"
#include "vendors/common/parking.h"
#include "vendors/common/turn.h"
#include "vendors/vtd/capabilities.h"
#include "vendors/vtd/events.h"
#include "vendors/vtd/faults.h"
#include "vendors/vtd/interrupt_entries.h"
#include "vendors/vtd/protected_memory.h"
#include "vendors/vtd/register_file.h"

namespace weir::vtd {

// Commands that registers have accepted and the runner has not taken up yet.
struct Requests {
  std::optional<std::uint64_t> root;             // RTADDR_REG as it was when SRTP was written
  std::optional<bool> translation;               // TE
  std::optional<bool> queue;                     // QIE
  std::optional<bool> protection;                // EPM
  std::optional<std::uint64_t> interrupt_table;  // IRTA_REG as it was when SIRTP was written
  std::optional<bool> remapping;                 // IRE
  std::optional<bool> compatibility;             // CFI
  bool context = false;                          // CCMD_REG.ICC
  bool iotlb = false;                            // IOTLB_REG.IVT
};

// What has been given out of the page request queue and not been shown to the guest yet.
struct PageQueue {
  std::uint64_t given = 0;       // offset of the next slot
  std::deque<bool> written;      // slots from PQT_REG to `given`, in order
  std::uint64_t first = 0;       // number of the first of them
  std::uint64_t generation = 0;  // of writes of PQA_REG, PQT_REG and resets: older slots are void
};

// Where the runner can be held up.
enum class Place : std::uint8_t {
  kTranslation,
  kRootContexts,
  kRootTranslations,
  kContextCommand,
  kIotlbCommand,
  kInterruptTable,
  kRemapping,
  kCompatibility,
  kProtection,
  kQueue,
};
inline constexpr std::size_t kPlaces = 10;

struct Shared {
  Shared(UnitHost& unit_host, const Options& options)
      : host(unit_host),
        capabilities(options),
        interrupt_entries(capabilities.options.strict_interrupt_entries),
        registers(capabilities.options) {}

  // Constant after construction.
  UnitHost& host;
  const Capabilities capabilities;

  InterruptEntries interrupt_entries;

  Parking<Place, kPlaces> parking{host};
  Turn turn;  // the runner's

  Mutex mutex;
  RegisterFile registers WEIR_GUARDED_BY(mutex);
  FaultLog faults WEIR_GUARDED_BY(mutex);
  Requests requests WEIR_GUARDED_BY(mutex);
  bool translation_wanted WEIR_GUARDED_BY(mutex) = false;    // TE as last commanded
  bool queue_wanted WEIR_GUARDED_BY(mutex) = false;          // QIE as last commanded
  bool remapping_wanted WEIR_GUARDED_BY(mutex) = false;      // IRE as last commanded
  bool protection_wanted WEIR_GUARDED_BY(mutex) = false;     // EPM as last commanded
  bool compatibility_wanted WEIR_GUARDED_BY(mutex) = false;  // CFI as last commanded
  std::uint64_t resets WEIR_GUARDED_BY(mutex) = 0;           // power-on resets so far
  std::uint64_t timeouts WEIR_GUARDED_BY(mutex) = 0;  // device-TLBs that stayed silent so far
  PageQueue page_queue WEIR_GUARDED_BY(mutex);

  // RTADDR_REG as latched by SRTP, its mode bits included: one word, so that a reader of contexts
  // has both from the same command.
  std::atomic<std::uint64_t> root{0};
  // What messages meet: interrupt_state of interrupt_remapping.h. Stored by the runner alone.
  std::atomic<std::uint64_t> interrupts{0};
  // Whether contexts are read, or everything is identity but for protected memory. Stored by the
  // runner alone.
  std::atomic<bool> translating{false};
  ProtectedMemory protection;
};

}  // namespace weir::vtd
