// SPDX-License-Identifier: Apache-2.0
//
// A device function's way to memory. Every DMA of an emulated device goes through its DmaPort: it
// is routed (bypass, window or unit), translated, landed, and booked; a failure is a Fault that the
// guest's driver can read of where the architecture says so.
//
// A function with a TLB of its own asks for translations, is told to forget them, and may ask for
// pages (iommu/ats.h); iommu/device_tlb_client.h does all of it for a device that has no wish of
// its own.
//
// Four forms of use:
//   translate   inside a Burst: an answer that holds until the burst ends
//   read, write, compare_exchange, fetch_add   copy under a burst of their own
//   map         a Pin over host bytes, for devices that need pointers for longer
//   peek        a look without fault, A/D update or count (debuggers)
//
// Any thread, several at once, may use one port. A Burst and the answers made in it stay on the
// thread that opened it. Nothing here blocks, throws, prints, or allocates on a hit.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/access.h"
#include "base/address.h"
#include "base/fault.h"
#include "base/guest_memory.h"
#include "base/ids.h"
#include "base/result.h"
#include "iommu/ats.h"
#include "iommu/map_listener.h"
#include "iommu/recorder.h"
#include "iommu/stats.h"
#include "iotlb/bursts.h"
#include "iotlb/context.h"
#include "iotlb/iotlb.h"
#include "pagetables/physical_memory.h"

namespace weir {

namespace core {
class Port;
struct Route;
}  // namespace core

// What a device may say of a request besides address, size and direction.
struct DmaAttributes {
  std::optional<Pasid> pasid{};
  AddressType address_type = AddressType::kUntranslated;
  bool privileged = false;
  bool execute = false;
};

// An untranslated request without a PASID.
inline constexpr DmaAttributes kPlainDma{};

// Where a request's first byte lies, and how far the answer reaches.
struct Translation {
  // Written out, because all of it would be cleared first otherwise, which costs more than a hit.
  Translation() noexcept {}
  // Bytes that the embedder has a pointer to.
  Translation(Outcome how, Gpa at, Hpa lies_at, std::uint64_t bytes, std::byte* pointer,
              std::uint64_t offset, Permissions allowed, std::uint8_t lg2) noexcept
      : outcome(how),
        gpa(at),
        hpa(lies_at),
        length(bytes),
        host(pointer),
        target_offset(offset),
        permissions(allowed),
        page_lg2(lg2) {}

  Outcome outcome = Outcome::kHit;  // how it was found; kInterrupt: a message, no memory behind it
  Gpa gpa{};
  Hpa hpa{};
  std::uint64_t length =
      0;  // bytes from the first on that lie in one piece, at most what was asked
  std::byte* host = nullptr;       // the bytes themselves; null: a callback target, or an interrupt
  MemoryTarget* target = nullptr;  // where a callback stands for memory
  std::uint64_t target_offset = 0;
  Permissions permissions{};  // of the whole piece, for this requester
  std::uint8_t page_lg2 = 0;  // size of the page behind it; 0: none (bypass, interrupt)
};

// Host bytes held for a device until released. Movable; releases at destruction. A completion that
// covers it waits for the release (L1), so hold it no longer than the transfer.
class [[nodiscard]] Pin {
 public:
  struct Span {
    std::byte* host = nullptr;
    std::uint64_t size = 0;
    Gpa gpa{};
  };

  Pin() = default;
  Pin(Pin&& other) noexcept;
  Pin& operator=(Pin&& other) noexcept;
  ~Pin() { release(); }

  // In the order of the IOVA range; empty after release.
  [[nodiscard]] std::span<const Span> spans() const { return spans_; }
  [[nodiscard]] std::uint64_t id() const { return id_; }
  // Ends the hold; what was pinned for writing is reported dirty.
  void release();

 private:
  friend class DmaPort;
  core::Port* port_ = nullptr;
  std::uint64_t id_ = 0;
  bool writable_ = false;
  std::vector<Span> spans_;
};

class DmaPort {
 public:
  // One guard for any number of requests: completions that cover what was answered in it wait until
  // it ends. Keep it short; open it on the thread that uses it. Bursts may nest.
  class Burst {
   public:
    explicit Burst(DmaPort& port);
    ~Burst();
    Burst(const Burst&) = delete;
    Burst& operator=(const Burst&) = delete;

    [[nodiscard]] Result<Translation, Fault> translate(Iova iova, std::uint64_t size,
                                                       Access access);
    [[nodiscard]] Result<Translation, Fault> translate(Iova iova, std::uint64_t size, Access access,
                                                       const DmaAttributes& attributes);

    // Words of the guest's structures, in the order in which they have to be compared; `count` 0:
    // nothing is known of them.
    struct ContextWords {
      // Written out: what is not in use needs no value.
      ContextWords() noexcept {}
      static constexpr std::size_t kMost = 8;
      std::size_t count = 0;
      std::array<Gpa, kMost> at;
      std::array<std::uint64_t, kMost> word;
    };
    // Who asks, as a route keeps it for the bursts to come (iommu/route.h).
    struct Known {
      iotlb::Context context{};
      std::uint64_t context_changes = 0;  // under which `context` was obtained; 0: none yet
      std::uint32_t context_pasid = iotlb::Context::kNoPasid;
      iotlb::IotlbKey key{};  // of `context`, in the unit's IOTLB
    };
    // What the pipeline keeps between the requests of one burst.
    struct State : Known {
      State(core::Port& of, iotlb::BurstRegistry::Slot& of_thread) : port(of), slot(of_thread) {}

      core::Port& port;
      iotlb::BurstRegistry::Slot& slot;
      const core::Route* route = nullptr;  // the port's when the burst began
      std::uint64_t completed = 0;         // bytes of the transfer under way that have landed
      // What a hit needs of `context`, made ready once: under which changes plain requests may be
      // answered with it (0: they may not); their highest address.
      std::uint64_t ready_changes = 0;
      std::uint64_t last_input = 0;
      // What nearly every request asks (at_once.h), where it stands.
      const std::atomic<bool>* open = nullptr;
      const std::atomic<const pagetables::PhysicalMemory*>* memory = nullptr;
      const std::atomic<std::uint64_t>* changes = nullptr;  // of the unit's contexts; null: no unit
      iotlb::Iotlb* iotlb = nullptr;                        // of the unit
      bool bypasses = false;
      // Where the guest's flushes are not heard of: what `context` rests on.
      ContextWords words{};
      Recorder* recorder = nullptr;  // has its turn; null: nobody records
      PieceForm form = PieceForm::kTranslate;
    };

   private:
    friend class DmaPort;
    [[nodiscard]] Result<Translation, Fault> translate_otherwise(Iova iova, std::uint64_t size,
                                                                 Access access);
    State state_;
  };

  explicit DmaPort(std::unique_ptr<core::Port> port);  // by Iommu::attach
  ~DmaPort();  // REQUIRES: no burst or pin of this port is alive
  DmaPort(const DmaPort&) = delete;
  DmaPort& operator=(const DmaPort&) = delete;

  // Alone, translate opens a burst for the call only and promises nothing about later use.
  [[nodiscard]] Result<Translation, Fault> translate(Iova iova, std::uint64_t size, Access access,
                                                     const DmaAttributes& attributes = kPlainDma);

  // Copies. On a fault, Fault::completed bytes had landed. Writes into the interrupt range become
  // interrupts; anything but an aligned 4-byte write there is a fault.
  [[nodiscard]] Result<Done, Fault> read(Iova iova, std::span<std::byte> to,
                                         const DmaAttributes& attributes = kPlainDma);
  [[nodiscard]] Result<Done, Fault> write(Iova iova, std::span<const std::byte> from,
                                          const DmaAttributes& attributes = kPlainDma);

  // PCIe atomics on an aligned 64-bit word; both give the value that was there.
  [[nodiscard]] Result<std::uint64_t, Fault> compare_exchange(
      Iova iova, std::uint64_t expected, std::uint64_t desired,
      const DmaAttributes& attributes = kPlainDma);
  [[nodiscard]] Result<std::uint64_t, Fault> fetch_add(Iova iova, std::uint64_t value,
                                                       const DmaAttributes& attributes = kPlainDma);

  // Pins the whole range or nothing. Refused where a callback stands (kNotPinnable).
  [[nodiscard]] Result<Pin, Fault> map(Iova iova, std::uint64_t size, Access access,
                                       const DmaAttributes& attributes = kPlainDma);

  // What a request would find, without leaving a trace. Empty: it would fault.
  [[nodiscard]] std::optional<Translation> peek(Iova iova, Access access,
                                                const DmaAttributes& attributes = kPlainDma);

  // Who hears of invalidations of the function's own TLB, and of page responses; null: it has none
  // (any more). Not while a translation request of the function is under way.
  void set_ats_device(std::shared_ptr<AtsDevice> device);
  // A translation request. The answer may be kept unless an invalidation of it has arrived since
  // the request began (L2); used, it needs a burst that began before the question.
  [[nodiscard]] AtsTranslation request_translation(Iova iova, const AtsRequest& attributes = {});
  // False: the function owes no such acknowledgement.
  bool acknowledge_invalidation(std::uint32_t id);
  // Sends a page request. The response to the last of a group comes to the AtsDevice, now or later.
  void request_page(PageRequest request);

  // Tells `listener` every mapping of the function (of requests without a PASID), and from then on
  // every change. Refused, in one sentence, where the guest does not announce mappings.
  [[nodiscard]] Result<std::unique_ptr<Listening>, std::string> listen(MapListener& listener);

  [[nodiscard]] Requester requester() const;

 private:
  template <typename Copy>
  Result<Done, Fault> transfer(Iova iova, std::uint64_t size, Access access,
                               const DmaAttributes& attributes, Copy copy);
  template <typename Change>
  Result<std::uint64_t, Fault> atomic(Iova iova, const DmaAttributes& attributes, Change change);

  friend class Iommu;

  std::unique_ptr<core::Port> port_;
};

}  // namespace weir

// The way of nearly every request, so that it becomes a part of the device's own loop.
#include "iommu/at_once.h"
