// SPDX-License-Identifier: Apache-2.0
//
// The events of a guest's ftrace, one at a time, made into a model guest's doings: maps and unmaps
// change its tables, flushes are queued as they are. A guest's trace shows no access, so these are
// made up: one to each page after its map, and one to the first page of what was unmapped, both
// before the flush that covers it (may still be answered) and after (must not be).
//
// A domain id means one domain for the whole trace. Maps and unmaps that nothing names go to one
// domain of the model's own, and every flush of a domain is then repeated for that one.
//
// For replay_trace only. One thread; one trace.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "replay/access_batch.h"
#include "replay/comparison.h"
#include "replay/domain_naming.h"
#include "replay/domain_tables.h"
#include "replay/live_ranges.h"
#include "replay/model_driver.h"
#include "replay/model_machine.h"
#include "replay/replay_loop.h"
#include "replay/stale_check.h"
#include "replay/trace_event.h"

namespace weir::replay {

class FtraceReplay {
 public:
  // The failure is why the trace cannot be replayed.
  using Step = Result<Done, std::string>;

  // Of one map: every page of a range of 16 MiB, such as boot-time ones.
  static constexpr std::uint64_t kMostAccessesPerMap = 4096;
  // Of one map; 16 GiB of 4 KiB pages.
  static constexpr std::uint64_t kMostLeavesPerMap = std::uint64_t{1} << 22;
  // Unmapped ranges of one domain that wait for a flush with an access to follow.
  static constexpr std::size_t kMostUnflushed = 4096;
  // The domain of what nothing names.
  static constexpr DomainId kModelDomain{0xffff};

  // `machine` and `report` must outlive it.
  [[nodiscard]] static Result<std::unique_ptr<FtraceReplay>, std::string> create(
      ModelMachine& machine, const ReplayOptions& options, VtdModelDriver::Mode mode,
      Report& report);

  // `next` follows `event`, and is nullptr at the end.
  [[nodiscard]] Step take(const NamedEvent& event, const FtraceEvent* next);
  // After the last event. Refused where nothing was mapped.
  [[nodiscard]] Step finish();

 private:
  // A page unmapped, until a flush covers it.
  struct Unflushed {
    Iova page;
    Requester requester;
  };
  struct Domain {
    std::unique_ptr<DomainTables> tables;
    LiveRanges live;
    std::optional<Requester> device;  // the first one attached
    std::vector<Unflushed> unflushed;
  };
  struct Function {
    ModelMachine::Device* device = nullptr;
    StaleCheck::Source* source = nullptr;
    std::optional<DomainId> home;  // of its context entry
  };
  // The accesses that a map waits for: made once all that names it has passed.
  struct Due {
    AddressRange<Iova> range;
    DomainId domain;
    std::optional<Requester> requester;
    std::optional<Access> access;
    std::uint64_t line = 0;
  };

  FtraceReplay(ModelMachine& machine, VtdModelDriver driver, VtdModelDriver::Mode mode,
               Report& report)
      : machine_(machine),
        driver_(std::move(driver)),
        mode_(mode),
        report_(report),
        guest_(report.guest_trace.emplace()),
        comparison_(check_, report) {}

  [[nodiscard]] Step on(const GuestMap& map);
  [[nodiscard]] Step on(const GuestUnmap& unmap);
  [[nodiscard]] Step on(const InvalidationDescriptor& descriptor);
  [[nodiscard]] Step on(const DeviceAttached& attached);
  [[nodiscard]] Step on(const LostEvents& lost);
  template <typename Other>
  [[nodiscard]] Step on(const Other&) {
    return Done{};
  }

  [[nodiscard]] Result<Domain*, std::string> domain(DomainId id);
  [[nodiscard]] DomainId domain_of_unmap(const GuestUnmap& unmap);
  [[nodiscard]] Result<Function*, std::string> function(Requester requester);
  [[nodiscard]] bool is_scalable() const { return mode_ == VtdModelDriver::Mode::kScalable; }
  [[nodiscard]] Step attach(Requester requester, DomainId id);
  [[nodiscard]] Step write_context(Requester requester, DomainTables& tables);
  // A function whose context entry names the domain; `wanted` if it is one.
  [[nodiscard]] Result<Requester, std::string> requester_in(DomainId id,
                                                            std::optional<Requester> wanted);
  [[nodiscard]] Step write_leaves(Domain& to, const GuestMap& map);
  [[nodiscard]] Step remove(Domain& from, const AddressRange<Iova>& range);
  [[nodiscard]] Step post(const InvalidationDescriptor& descriptor);
  [[nodiscard]] Step complete();
  [[nodiscard]] Step access_due();
  [[nodiscard]] Step access(DomainId id, Requester requester, Iova iova, Access access,
                            std::uint64_t line);
  void run_batch();

  ModelMachine& machine_;
  VtdModelDriver driver_;
  const VtdModelDriver::Mode mode_;
  Report& report_;
  GuestTrace& guest_;
  StaleCheck check_;
  Comparison comparison_;
  AccessBatch batch_;

  const NamedEvent* now_ = nullptr;
  const FtraceEvent* next_ = nullptr;
  std::map<std::uint32_t, Domain> domains_;
  std::map<Requester, Function> functions_;
  std::multimap<std::uint64_t, Due> due_;  // by the event after which
  std::vector<Flush> posted_;              // not yet completed
  std::optional<DomainId> flushed_whole_;  // by the last domain-selective flush
  std::optional<std::uint32_t> unit_;      // n of "dmar<n>"
  std::uint16_t next_made_up_ = 0xffff;    // for domains whose devices the trace does not show
};

}  // namespace weir::replay
