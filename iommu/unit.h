// SPDX-License-Identifier: Apache-2.0
//
// The port a vendor implements (Unit), and what the core gives it in return (UnitHost). The core
// owns the path of a request: route, caches, landing, books. The vendor owns the guest's
// structures: registers, tables, queues, fault records. Neither knows more of the other than stands
// here.
//
// Thread rules: read_context, check, deny, walk, remap_interrupt, post_interrupt and record are
// called from any device thread at once, inside a burst and with no core lock held, and must not
// wait. Register calls (the vendor's own front door) come from any thread. The vendor runs its
// queue on one thread at a time and calls UnitHost with none of its own locks held that a sink
// could want.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/access.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/request.h"
#include "base/result.h"
#include "iommu/ats.h"
#include "iommu/log.h"
#include "iommu/recorder.h"
#include "iommu/sinks.h"
#include "iotlb/context.h"
#include "iotlb/invalidation.h"
#include "iotlb/walk_caches.h"
#include "pagetables/physical_memory.h"
#include "pagetables/walk.h"
#include "pagetables/word_trail.h"

namespace weir {

// What every request of the unit meets before any table is read.
enum class UnitMode : std::uint8_t {
  kOff,          // translation is off: requests pass, counted as passed through
  kTranslating,  // contexts are read
};

// What messages into the interrupt range meet, whatever the other mode is.
enum class InterruptMode : std::uint8_t {
  kOff,        // delivered as they are
  kRemapping,  // Unit::remap_interrupt decides
};

// Stands for everything that an invalidation covers and that has not ended yet: walks, copies,
// interrupt messages, pins. A completion may be published once the ticket is settled (L1).
struct [[nodiscard]] Ticket {
  std::uint64_t serial = 0;  // 0: there was nothing to wait for
};

// The core, as one unit sees it. Valid for the life of the unit; any thread.
class UnitHost {
 public:
  virtual ~UnitHost() = default;

  [[nodiscard]] virtual UnitId id() const = 0;
  // The PCI segment that the unit serves: its tables and commands name requesters without one.
  [[nodiscard]] virtual std::uint16_t segment() const { return 0; }
  [[nodiscard]] virtual const Clock& clock() const = 0;

  // Guest memory for queues, status words and logs. Each call sees one consistent snapshot; writes
  // reach the dirty sink. (read_context and walk get the snapshot of their burst instead.)
  [[nodiscard]] virtual Result<Done, FaultReason> read_memory(Gpa at, std::span<std::byte> to) = 0;
  [[nodiscard]] virtual Result<Done, FaultReason> write_memory(Gpa at,
                                                               std::span<const std::byte> from) = 0;

  // Takes hold for requests that begin afterwards; drain() covers those before.
  virtual void set_mode(UnitMode mode) = 0;
  // The same for interrupt messages; those who cache what messages become are told at once.
  virtual void set_interrupt_mode(InterruptMode /*mode*/) {}

  // Drops what the value covers from every cache before it returns, so that no later request can
  // use it; the ticket stands for the earlier ones. Every scope but kDeviceTlb.
  virtual Ticket invalidate(const iotlb::Invalidation& invalidation) = 0;
  // The same for several at once, with one ticket for all of them: a guest that posts many commands
  // before it looks pays for one round. Nothing to do for none.
  virtual Ticket invalidate_all(std::span<const iotlb::Invalidation> several) {
    for (const iotlb::Invalidation& one : several) (void)invalidate(one);
    return several.empty() ? Ticket{} : drain();
  }
  // invalidate_all in two steps, for commands that come one by one: drop() drops at once, and
  // cover() gives the ticket for all that was dropped. Whatever begins in between is waited for as
  // well, so that the unit leaves no time there, and it asks for the ticket before any completion.
  virtual void drop(const iotlb::Invalidation& invalidation) { (void)invalidate(invalidation); }
  virtual Ticket cover(std::span<const iotlb::Invalidation> dropped) {
    return dropped.empty() ? Ticket{} : drain();
  }
  // Tells a function to forget what its own TLB holds of `what`, whose scope is kDeviceTlb. The
  // ticket settles when it has acknowledged and nothing rests on it any more, or `limit` (by
  // default IommuConfig::device_tlb_limit) after it was told; then Unit::device_tlb_timed_out comes
  // first. A function without a TLB has nothing to forget.
  virtual Ticket invalidate_device_tlb(const iotlb::Invalidation& what,
                                       std::optional<Clock::Duration> /*limit*/ = {}) {
    return invalidate(what);
  }
  // The answer to a group of page requests, on its way to the device. False: nobody hears it.
  virtual bool respond(Requester /*function*/, const PageResponse& /*response*/) { return false; }
  // Everything of this unit that is in flight, whatever it rests on; drops nothing.
  virtual Ticket drain() = 0;
  // Every walk and copy that is under way; pins are not waited for. What the unit took out of its
  // own structures before the call can be freed once the ticket has settled.
  virtual Ticket quiesce() { return drain(); }
  // Never blocks. The core calls Unit::poll() when a ticket may have settled.
  [[nodiscard]] virtual bool settled(Ticket ticket) = 0;

  // For what a guest did wrong and its owner may want to read of; rate-limited, and silent unless
  // the embedder listens.
  virtual void log(LogLevel /*level*/, LogTopic /*topic*/, std::string_view /*line*/) {}

  // The unit's own interrupts (fault event, completion event).
  virtual void raise(Msi msi) = 0;

  // Who hears what the guest does at the unit's front door, or null: each call there is a
  // RecordedScope of kFrontDoor, and construction says on_unit.
  [[nodiscard]] virtual Recorder* recorder() { return nullptr; }
  // What names the unit in the firmware table.
  [[nodiscard]] virtual std::uint64_t register_base() const { return 0; }
};

// What a walk may use: the memory snapshot of its burst, and the unit's walk caches with the
// tickets that were taken before anything was read. A walk without a trace sets no accessed or
// dirty bit; its reader takes `trace` and sees to that.
struct WalkScope {
  const pagetables::PhysicalMemory& memory;
  iotlb::WalkCaches& caches;
  iotlb::WalkCaches::Tickets tickets;
  pagetables::Trace trace = pagetables::Trace::kLeave;
};

class Unit {
 public:
  virtual ~Unit() = default;

  // Who is this? Reads the guest's structures; each word once, into locals (L3). A Fault carries
  // the request, the neutral reason, the vendor's code, and in `recorded` whether it is to be
  // recorded (false: the guest silenced it).
  [[nodiscard]] virtual Result<iotlb::Context, Fault> read_context(
      const Request& request, const pagetables::PhysicalMemory& memory) = 0;

  // The same; and into `trail` every word that a Context rests on, in the order in which they have
  // to be compared again, so that it holds while memory has them all and ContextCache::changes()
  // has not moved. A unit that cannot say so leaves trail.whole false.
  [[nodiscard]] virtual Result<iotlb::Context, Fault> trace_context(
      const Request& request, const pagetables::PhysicalMemory& memory,
      pagetables::WordTrail& trail) {
    trail.whole = false;
    return read_context(request, memory);
  }

  // May this kind of request use this context? Asked only for requests that are not plain, that
  // is, translated or translation requests, and those with a PASID, with privilege or to execute.
  [[nodiscard]] virtual std::optional<Fault> check(const iotlb::Context& context,
                                                   const Request& request) = 0;

  // The fault of a request that tables may well allow, but `context.rights` or the requester's
  // modes (iotlb::ask_of) do not: in the vendor's words, like any other (L10). Asked before any
  // table is read, for pass-through and translated requests as well.
  [[nodiscard]] virtual Fault deny(const iotlb::Context& context, const Request& request,
                                   Denial denial);

  // Translates the first byte of `piece`. What the tables are asked is iotlb::ask_of(context,
  // piece); the permissions of the leaf are the tables' own, whoever asks, because others are
  // answered from it too. Also called for pass-through contexts beyond `context.input_bits`, where
  // there is only a fault to give.
  [[nodiscard]] virtual Result<pagetables::Leaf<Gpa>, Fault> walk(const iotlb::Context& context,
                                                                  const Request& piece,
                                                                  const WalkScope& scope) = 0;

  // What becomes of a message that `request`'s function writes into the interrupt range, while the
  // interrupt mode is kRemapping. Only reads; may be asked for messages that nobody sends.
  [[nodiscard]] virtual Result<RemappedInterrupt, Fault> remap_interrupt(
      const Request& request, Msi msi, const pagetables::PhysicalMemory& memory);
  // A message that remap_interrupt called posted is being sent: records it in memory. Gives the
  // notification that is due, if one is.
  [[nodiscard]] virtual Result<std::optional<Msi>, Fault> post_interrupt(
      const Request& request, const RemappedInterrupt& posted,
      const pagetables::PhysicalMemory& memory);

  // A page request has arrived; inside a burst, like a request. Gives the response that is due at
  // once, or nothing: it is where the guest's driver finds it, and UnitHost::respond will come.
  [[nodiscard]] virtual std::optional<PageResponseCode> take_page_request(
      const PageRequest& /*request*/) {
    return PageResponseCode::kInvalid;
  }
  // The same for units that look at the guest's structures first, in the snapshot of the burst.
  [[nodiscard]] virtual std::optional<PageResponseCode> judge_page_request(
      const PageRequest& request, const pagetables::PhysicalMemory& /*memory*/) {
    return take_page_request(request);
  }

  // A function was silent for too long about invalidations that `ticket` stands for; its translated
  // requests are refused until it has caught up. The ticket settles after this, from poll().
  virtual void device_tlb_timed_out(Requester /*function*/, Ticket /*ticket*/) {}

  // Whether guests of this unit announce mappings and not only removals, so that somebody else can
  // follow their tables (VT-d CM, AMD NpCache, virtio).
  [[nodiscard]] virtual bool announces_mappings() const { return false; }

  // Puts a fault whose `recorded` is true where the guest's driver reads of it.
  virtual void record(const Fault& fault) = 0;

  // Goes on with whatever was parked, as far as it can without waiting. Also called from inside the
  // unit's own calls to UnitHost, on the same thread: a unit that is running its queue takes note
  // and looks again afterwards.
  virtual void poll() = 0;

  // Power-on state. The core has dropped the caches; whatever was parked is forgotten.
  virtual void reset() = 0;
};

}  // namespace weir
