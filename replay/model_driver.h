// SPDX-License-Identifier: Apache-2.0
//
// A model of a guest's VT-d driver: it brings the unit up, writes root and context entries, queues
// invalidation descriptors and waits for them, all as a trace says, and all through what a guest
// has: registers, a queue, and memory. It never looks inside the unit.
//
// The trace's addresses are the traced guest's; tables, queue and status word of the model lie in
// the model's own memory, so register values that are addresses are replaced by its own.
//
// For one thread. Unit and memory must outlive it. A machine reset makes another driver.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "replay/flush.h"
#include "replay/model_memory.h"
#include "replay/trace_event.h"
#include "vendors/vtd/unit.h"

namespace weir::replay {

// A fault record as the driver reads it (VT-d 10.4.14).
struct FaultRecord {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
};

class VtdModelDriver {
 public:
  // True: the descriptor is lost on its way to the queue. A fault to seed in tests of whoever
  // checks the unit; nothing else sets it.
  using Lose = std::function<bool(const InvalidationDescriptor&)>;
  using Outcome = Result<Done, std::string>;

  enum class Mode : std::uint8_t { kLegacy, kScalable };
  // Refused, in one sentence, without memory. The mode is what holds until register writes of the
  // trace say otherwise.
  [[nodiscard]] static Result<VtdModelDriver, std::string> create(vtd::Unit& unit,
                                                                  ModelMemory& memory,
                                                                  Mode mode = Mode::kLegacy,
                                                                  Lose lose = {});

  // A register write of the trace, with the model's own addresses in it. The failure says what the
  // unit did not do. A write that asks for an invalidation comes back as that.
  [[nodiscard]] Result<std::optional<Flush>, std::string> write_register(
      const RegisterWrite& write);
  // For traces that begin later than the guest's driver did.
  [[nodiscard]] Outcome start_queue();
  [[nodiscard]] Outcome start_translation();

  // Writes a context entry with `root` in the place of the trace's table address; nullopt keeps the
  // word as it is.
  [[nodiscard]] Outcome set_context(Requester requester, std::uint64_t high, std::uint64_t low,
                                    std::optional<Gpa> root);
  // The same in scalable mode: the entry leads to a PASID directory of the model's own.
  [[nodiscard]] Outcome set_scalable_context(Requester requester, std::uint64_t high,
                                             std::uint64_t low);
  // What the requester's requests without a PASID meet: first-stage tables of four levels.
  // REQUIRES: set_scalable_context.
  [[nodiscard]] Outcome set_pasid_entry(Requester requester, DomainId domain, Gpa root);
  void clear_context(Requester requester);
  void clear_root(std::uint8_t bus);

  // Queues a descriptor that is no wait, and has it carried out. False: the unit stopped at it; it
  // was taken back and the queue goes on.
  [[nodiscard]] bool post(const InvalidationDescriptor& descriptor);
  // Queues a wait with the flags of the trace's and a status write. True: it has completed.
  [[nodiscard]] bool wait(const InvalidationDescriptor& descriptor);

  [[nodiscard]] FaultRecord fault_record(std::uint16_t index);

 private:
  VtdModelDriver(vtd::Unit& unit, ModelMemory& memory, Lose lose)
      : unit_(&unit), memory_(&memory), lose_(std::move(lose)) {}

  [[nodiscard]] Outcome write_global_command(std::uint32_t value);
  [[nodiscard]] Outcome command(std::uint32_t bits, std::uint32_t settled_mask);
  [[nodiscard]] Result<std::optional<Flush>, std::string> write_invalidation(
      const RegisterWrite& write);
  using Words = std::array<std::uint64_t, 4>;
  void enqueue(const Words& descriptor);
  void place(std::uint64_t index, const Words& descriptor);
  [[nodiscard]] std::uint64_t descriptor_bytes() const;
  [[nodiscard]] bool is_scalable() const;
  [[nodiscard]] Result<Gpa, std::string> page_for(const char* what);
  void store(Gpa at, std::uint64_t value);

  vtd::Unit* unit_;
  ModelMemory* memory_;
  Lose lose_;

  // Constant after creation.
  Gpa root_;
  Gpa queue_;
  Gpa status_;
  std::uint64_t records_ = 0;        // offset of the unit's fault records
  std::uint64_t records_bytes_ = 0;  // and their size
  std::uint64_t iotlb_block_ = 0;    // offset of IVA_REG; IOTLB_REG follows

  std::map<std::uint16_t, Gpa> context_tables_;  // by the first function in it
  struct Pasids {
    Gpa directory;
    Gpa table;
    std::uint64_t rid_pasid = 0;
  };
  std::map<Requester, Pasids> pasids_;
  std::uint64_t traced_root_ = 0;  // RTADDR as the trace wrote it
  std::uint64_t traced_queue_ = 0;  // IQA
  std::uint64_t ccmd_ = 0;                      // CCMD, IVA and IOTLB as the trace wrote them
  std::uint64_t iva_ = 0;
  std::uint64_t iotlb_ = 0;
  std::uint32_t enabled_ = 0;  // GCMD bits that stay
  bool root_set_ = false;
  std::uint64_t tail_ = 0;  // next free descriptor
  std::uint32_t waits_ = 0;
};

}  // namespace weir::replay
