// SPDX-License-Identifier: Apache-2.0
//
// The events of a QEMU log, one at a time, made into a model guest's doings and a device's
// accesses. For replay_trace only, which says what the rules are. One thread; one trace.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>

#include "replay/access_batch.h"
#include "replay/comparison.h"
#include "replay/domain_tables.h"
#include "replay/model_driver.h"
#include "replay/model_machine.h"
#include "replay/replay_loop.h"
#include "replay/stale_check.h"
#include "replay/trace_event.h"

namespace weir::replay {

class QemuReplay {
 public:
  // The failure is why the trace cannot be replayed.
  using Step = Result<Done, std::string>;

  // `machine` and `report` must outlive it. `scalable`: the guest uses scalable mode, with
  // first-stage tables.
  [[nodiscard]] static Result<std::unique_ptr<QemuReplay>, std::string> create(
      ModelMachine& machine, const ReplayOptions& options, VtdModelDriver::Mode mode,
      Report& report);

  [[nodiscard]] Step take(const QemuEvent& event);
  // After the last event.
  void finish();

 private:
  // What is known of a requester.
  struct Known {
    ModelMachine::Device* device = nullptr;
    StaleCheck::Source* source = nullptr;
    DomainTables* tables = nullptr;  // of its context entry, if that names some
    bool has_context = false;        // `high` and `low` are what the log says its entry holds
    std::uint64_t high = 0;
    std::uint64_t low = 0;
  };

  QemuReplay(ModelMachine& machine, VtdModelDriver driver, const ReplayOptions& options,
             VtdModelDriver::Mode mode, Report& report)
      : machine_(machine),
        driver_(std::move(driver)),
        lose_(options.lose),
        mode_(mode),
        report_(report),
        comparison_(check_, report) {}

  [[nodiscard]] Step on(const LoggedAccess& access);
  [[nodiscard]] Step on(const LoggedFault& fault);
  [[nodiscard]] Step on(const FaultRecordWritten& record);
  [[nodiscard]] Step on(const ContextSeen& seen);
  [[nodiscard]] Step on(const ContextAbsent& absent);
  [[nodiscard]] Step on(const RootAbsent& absent);
  [[nodiscard]] Step on(const InvalidationDescriptor& descriptor);
  [[nodiscard]] Step on(const RegisterWrite& write);
  [[nodiscard]] Step on(const RootPointerSet& set);
  [[nodiscard]] Step on(const IotlbReset& reset);
  [[nodiscard]] Step on(const UnitReset& reset);
  // Everything else says nothing that the tables, the unit or an access would need.
  template <typename Other>
  [[nodiscard]] Step on(const Other&) {
    return Done{};
  }

  [[nodiscard]] Result<Known*, std::string> known(Requester requester);
  [[nodiscard]] Step set_context(Known& who, Requester requester, std::uint64_t high,
                                 std::uint64_t low);
  void clear_context(Known& who, Requester requester);
  [[nodiscard]] bool is_scalable() const { return mode_ == VtdModelDriver::Mode::kScalable; }
  // Scalable mode: a context entry that leads to a PASID entry, and what that one says, which no
  // line shows but as the domain of an access.
  [[nodiscard]] Step set_scalable_context(Known& who, Requester requester, std::uint64_t high,
                                          std::uint64_t low);
  [[nodiscard]] Step set_pasid_entry(Known& who, Requester requester, DomainId domain);
  [[nodiscard]] Result<DomainTables*, std::string> tables_for(std::uint64_t high,
                                                              std::uint64_t low);
  [[nodiscard]] Step show_leaf(Known& who, const LoggedAccess& access, const MappedLeaf& leaf);
  [[nodiscard]] Step show_context(Known& who, const LoggedAccess& access);
  [[nodiscard]] Step show_fault(Known& who, const LoggedFault& fault, Access access);
  [[nodiscard]] Step note(const DomainTables::Gone& gone, DomainId domain);
  [[nodiscard]] Step enqueue(const PendingAccess& access);
  void make_way(AddressRange<Iova> page);
  void run_batch();

  ModelMachine& machine_;
  VtdModelDriver driver_;
  const VtdModelDriver::Lose lose_;
  const VtdModelDriver::Mode mode_;
  Report& report_;
  StaleCheck check_;
  Comparison comparison_;
  AccessBatch batch_;
  std::uint64_t line_ = 0;

  std::unordered_map<Requester, Known> known_;
  // By domain, traced table address and levels: a guest that gives a domain other tables means
  // other tables.
  using TablesKey = std::tuple<std::uint32_t, std::uint64_t, unsigned>;
  std::map<TablesKey, std::unique_ptr<DomainTables>> tables_;
};

}  // namespace weir::replay
