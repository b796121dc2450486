// SPDX-License-Identifier: Apache-2.0
//
// Hears everything that a machine is made of and everything that is done to it, one thing after the
// other, in an order in which it really happened: what a recording needs in order to be played back
// to the same translations, faults and books. IommuConfig::recorder; replay/trace_recorder.h writes
// a file. A machine without one pays nothing on a hit.
//
// A machine with a recorder does one thing at a time: a burst, a guest's register access or a call
// of the embedder has the recorder's turn from its beginning to its end, so no burst is ever under
// way when a command asks whether it has drained. A sink must not wait for another thread that
// needs the machine. What a sink or device calls from inside is heard as a part of what it was
// called from.
//
// Called from any thread. Must outlive the Iommu.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/address.h"
#include "base/fault.h"
#include "base/ids.h"
#include "base/request.h"
#include "base/result.h"
#include "iommu/interrupts.h"
#include "iotlb/invalidation.h"
#include "pagetables/memory_witness.h"
#include "pagetables/physical_memory.h"

namespace weir {

struct IommuConfig;
struct Translation;

// How a piece was asked for.
enum class PieceForm : std::uint8_t { kTranslate, kRead, kWrite, kAtomic, kMap, kQuestion };

// What is done to a machine, but for the pieces of requests. Operands stand in `words`, in the
// order of the comments.
struct RecordedCall {
  // The numbers are those of the trace format: new ones go to the end.
  enum class What : std::uint8_t {
    // A guest at the front door of `unit`. words[0] says at which of its calls, and is the vendor's;
    // so is the rest. `data`: bytes that come with it.
    kFrontDoor,
    kPoll,
    // Functions: `requester`; of attach its pool + 1 or 0, what it is called on the bus, and in
    // `data` the bridges above it, four bytes each: segment, and bus, device and function.
    kAttach,
    kDetach,
    kBusMaster,  // on
    kResetFunction,
    kReset,
    // The embedder's memory. kMemory is heard after on_memory.
    kMemory,
    kHostMapChanged,  // first, last
    // Requests that are answered without a translation: form, IOVA, size, access.
    kUnanswered,
    // Pins: IOVA, size, access, attributes. The answer is the pin's number, how many spans it has
    // and where the first begins; or 0 and the reason why not.
    kPin,
    kPinEnd,  // the pin's number; revoked or released
    // Device TLBs.
    kAtsDevice,       // whether there is one
    kAtsQuestion,     // IOVA, attributes, no write; answered: status, page size, output, rights
    kAtsAcknowledge,  // id
    kPageRequest,     // page, group, flags, private data
    // Messages: address, data. kMessage is a DMA write, and has what was written in `data`.
    kMessage,
    kSendMsi,
    kResolveMsi,
    kDeclarePool,  // pool, first, last, where to, rights
    kTransition,   // in `data` its line (to_line); answered: whether it was taken
  };
  static constexpr unsigned kCount = 21;
  static constexpr std::size_t kWords = 6;

  What what = What::kPoll;
  UnitId unit{};
  Requester requester{};
  std::optional<Pasid> pasid{};
  std::array<std::uint64_t, kWords> words{};
  std::span<const std::byte> data{};
};

// What a call gave, as numbers; nothing for those that give nothing.
using RecordedAnswer = std::array<std::uint64_t, 4>;

class Recorder : public pagetables::MemoryWitness {
 public:
  // --- what the machine is made of; before anything is done to it
  virtual void on_config(const IommuConfig& config) = 0;
  virtual void on_table(std::span<const std::byte> table) = 0;
  // `options`: the vendor's, as numbers.
  virtual void on_unit(UnitId unit, std::uint64_t register_base, std::string_view vendor,
                       std::span<const std::uint64_t> options) = 0;
  // The machine does something that no call below says.
  virtual void on_unrecordable(std::string_view what) = 0;
  // The memory that holds from now on.
  virtual void on_memory(const pagetables::PhysicalMemory& memory) = 0;

  // --- turns; they nest on a thread
  virtual void take_turn() = 0;
  virtual void end_turn() = 0;
  // Constant. False: pieces are none of its business, nor whether a burst is under way.
  [[nodiscard]] virtual bool hears_pieces() const { return true; }

  // --- what is done, inside a turn
  virtual void begin(const RecordedCall& call) = 0;
  virtual void end(const RecordedAnswer& answer) = 0;
  virtual void before_piece(const Request& request, PieceForm form) = 0;
  virtual void after_piece(const Request& request, PieceForm form,
                           const Result<Translation, Fault>& result) = 0;
  // The piece before was answered and could not be used after all.
  virtual void on_refused(const Request& request, FaultReason reason) = 0;

  // --- what came of it
  virtual void on_invalidation(UnitId unit, const iotlb::Invalidation& what,
                               const iotlb::Removed& removed) = 0;
  virtual void on_unit_msi(UnitId unit, Msi msi) = 0;
  virtual void on_device_msi(Requester requester, Msi msi) = 0;

  // What is looked at now leaves no trace: memory that is read until the turn ends is not heard of.
  virtual void on_peek() = 0;
};

// One call, from beginning to end, with its turn. Nothing without a recorder.
class RecordedScope {
 public:
  RecordedScope(Recorder* recorder, const RecordedCall& call) : recorder_(recorder) {
    if (recorder_ == nullptr) return;
    recorder_->take_turn();
    recorder_->begin(call);
  }
  ~RecordedScope() {
    if (recorder_ == nullptr) return;
    recorder_->end(answer_);
    recorder_->end_turn();
  }
  RecordedScope(const RecordedScope&) = delete;
  RecordedScope& operator=(const RecordedScope&) = delete;

  void answer(const RecordedAnswer& answer) { answer_ = answer; }

 private:
  Recorder* const recorder_;
  RecordedAnswer answer_{};
};

// DmaAttributes and their like as a number: privileged, execute, the address type in bits 3:2.
[[nodiscard]] constexpr std::uint64_t attribute_bits(bool privileged, bool execute,
                                                     AddressType type) {
  return (privileged ? 1U : 0U) | (execute ? 2U : 0U) | static_cast<unsigned>(type) << 2;
}

}  // namespace weir
