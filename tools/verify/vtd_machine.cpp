// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/vtd_machine.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bits.h"
#include "base/clock.h"
#include "iommu/iommu.h"
#include "tools/verify/dma_probe.h"
#include "tools/verify/machine_parts.h"
#include "tools/verify/vtd_case.h"
#include "tools/verify/vtd_driver.h"
#include "tools/verify/vtd_setup.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/unit.h"

namespace weir::verify {
namespace {

constexpr std::uint64_t kRegisterBase = 0xfed90000;

// What is wrong with the one record of a fault of this access; empty: nothing. The vectors were
// made with a unit that records addresses whole; the manual has FI's bits from MGAW on as zero.
std::string check_record(const FaultRecord& record, Requester requester, Iova iova, Access access,
                         unsigned address_bits) {
  const auto expected =
      access == Access::kRead ? FaultRecord::Type::kRead : FaultRecord::Type::kWrite;
  if (record.source != requester.bdf) return "the record has another SID";
  const std::uint64_t page = iova.page_base(kPageLg2).value() & bit_mask(address_bits - 1, 0);
  if (record.info != page) return "the record has another FI";
  if (record.type != expected) return "the record has another type";
  return record.has_pasid ? "the record has PP set" : "";
}

// The files were made before it was settled that an address beyond a second stage's width is reason
// 84h; 83h is for addresses that no second stage walks.
bool permits(std::uint8_t given, std::uint8_t got) {
  return given == got || (given == 0x83 && got == 0x84);
}

bool permits(const DmaResult& given, const DmaResult& got) {
  const auto* blocked = std::get_if<Blocked>(&given);
  const auto* seen = std::get_if<Blocked>(&got);
  return given == got || (blocked != nullptr && seen != nullptr && blocked->recorded &&
                          seen->recorded && permits(blocked->code, seen->code));
}

class VtdMachine final : public Machine {
 public:
  VtdMachine(Premises premises, bool scalable)
      : premises_(std::move(premises)),
        scalable_(scalable),
        probe_(premises_.ram,
               scalable ? DmaProbe::TableUpdates::kPossible : DmaProbe::TableUpdates::kNone) {}

  Result<Done, std::string> load(const Fields& fields) override;
  Verdict run(std::size_t index) override;

 private:
  Verdict carry_out(const EditMemory& edit);
  Verdict carry_out(const SwitchTranslation& change);
  Verdict carry_out(const SetRoot& change);
  Verdict carry_out(const Invalidate& command);
  Verdict carry_out(const BadDescriptor& bad);
  Verdict carry_out(const FaultBurst& burst);
  Verdict carry_out(const Dma& dma);

  Result<Done, std::string> build(const vtd::Options& options, DriverPages pages);
  // The access as the vectors write it down, from what device and driver saw; `oddity` gets what
  // makes it wrong in any case.
  std::optional<DmaResult> conclude(const Dma& dma, const Sighting& seen, const FaultStatus& faults,
                                    std::string& oddity) const;

  // Constant after construction.
  Premises premises_;
  const bool scalable_;
  ManualClock clock_;
  // Of the current case; destroyed from the last to the first.
  DmaProbe probe_;
  VtdCase case_;
  std::unique_ptr<Iommu> iommu_;
  std::unique_ptr<VtdDriver> driver_;
  Ports ports_;
};

Result<Done, std::string> VtdMachine::load(const Fields& fields) {
  ports_.clear();
  driver_.reset();
  iommu_.reset();
  case_ = read_vtd_case(fields, scalable_);
  if (!fields.ok()) return Done{};
  check_case(case_, premises_, fields);
  const vtd::Options options = read_unit_options(case_.config, fields.object("cfg"));
  if (!fields.ok()) return Done{};

  const auto pages = find_driver_pages(case_, premises_.ram);
  if (!pages) return Failure{std::string("no page of RAM is left for the driver's queue")};
  premises_.ram.clear();
  write_runs(premises_.ram, case_.memory);
  return build(options, *pages);
}

Result<Done, std::string> VtdMachine::build(const vtd::Options& options, DriverPages pages) {
  iommu_ = std::make_unique<Iommu>(IommuConfig{.memory = premises_.ram.memory(),
                                               .clock = &clock_,
                                               .sinks = {.interrupts = &probe_, .dirty = &probe_},
                                               .caches = premises_.options.caches});
  UnitCoverage everything;
  everything.register_base = kRegisterBase;
  everything.rest_of_segment = true;
  const auto table =
      vtd::build_dmar(Coverage{{everything}}, {.host_address_bits = case_.config.address_bits});
  if (const auto used = iommu_->use_tables(vtd::dmar_parser(), table); !used) {
    return Failure{"the DMAR is refused: " + used.error().cause};
  }
  auto& unit = iommu_->add_unit<vtd::Unit>(kRegisterBase, options);
  driver_ = std::make_unique<VtdDriver>(*iommu_, unit, premises_.ram, pages);
  const std::string difference =
      compare_capabilities(case_.config, driver_->capabilities(), driver_->extended_capabilities());
  if (!difference.empty()) return Failure{difference};

  auto ports = attach_all(*iommu_, premises_.devices);
  if (!ports) return Failure{ports.error()};
  ports_ = std::move(*ports);
  return driver_->start(
      case_.root, {.through_queue = case_.config.through_queue, .scalable = case_.config.scalable});
}

Verdict VtdMachine::carry_out(const EditMemory& edit) {
  write_runs(premises_.ram, edit.runs);
  return carried_out(Done{});
}

Verdict VtdMachine::carry_out(const SwitchTranslation& change) {
  return carried_out(driver_->set_translation(change.on));
}

Verdict VtdMachine::carry_out(const SetRoot& change) {
  return carried_out(driver_->set_root(change.root));
}

Verdict VtdMachine::carry_out(const Invalidate& command) {
  return carried_out(driver_->invalidate(command));
}

Verdict VtdMachine::carry_out(const BadDescriptor& bad) {
  Verdict verdict = carried_out(driver_->submit_bad(bad));
  verdict.expected = "FSTS.IQE as given, the head on the descriptor, and the queue resumes";
  if (verdict.agrees) verdict.got = verdict.expected;
  return verdict;
}

Verdict VtdMachine::carry_out(const FaultBurst& burst) {
  Verdict verdict;
  verdict.expected =
      "all blocked; the record: " + in_words(Blocked{.recorded = true, .code = burst.first_code});
  constexpr std::array<std::byte, 4> kData = {std::byte{1}, std::byte{2}, std::byte{3},
                                              std::byte{4}};
  for (const auto& write : burst.writes) {
    if (!ports_.at(write.requester)->write(write.iova, kData)) continue;
    verdict.got = "a write was not blocked";
  }
  const FaultStatus faults = driver_->read_faults();
  const auto cleared = driver_->clear_faults();
  if (!verdict.got.empty()) return verdict;
  if (!faults.pending || faults.records.size() != 1) {
    verdict.got = std::to_string(faults.records.size()) + " records, FSTS.PPF " +
                  (faults.pending ? "1" : "0");
    return verdict;
  }
  verdict.got = in_words(Blocked{.recorded = true, .code = faults.records[0].reason});
  std::string wrong = check_record(faults.records[0], burst.first, Iova(burst.first_page),
                                   Access::kWrite, case_.config.address_bits);
  if (!permits(burst.first_code, faults.records[0].reason)) wrong = "the record has another reason";
  if (std::ranges::find(burst.overflow, faults.overflow ? 1U : 0U) == burst.overflow.end()) {
    wrong = std::string("FSTS.PFO reads ") + (faults.overflow ? "1" : "0");
  }
  if (!cleared) wrong = cleared.error();
  verdict.agrees = wrong.empty();
  if (!wrong.empty()) verdict.got += "; " + wrong;
  return verdict;
}

std::optional<DmaResult> VtdMachine::conclude(const Dma& dma, const Sighting& seen,
                                              const FaultStatus& faults,
                                              std::string& oddity) const {
  const bool silent = faults.records.empty() && !faults.pending && !faults.overflow;
  if (seen.kind != Sighting::Kind::kBlocked && !silent && oddity.empty()) {
    oddity = "a fault was recorded for an access that went through";
  }
  switch (seen.kind) {
    case Sighting::Kind::kReached:
      return Reached{seen.gpa};
    case Sighting::Kind::kInterrupt:
      return BecameInterrupt{};
    case Sighting::Kind::kUnclear:
      return std::nullopt;
    case Sighting::Kind::kBlocked:
      break;
  }
  if (silent) return Blocked{};
  if (faults.records.size() != 1 || !faults.pending) {
    oddity = std::to_string(faults.records.size()) + " records of one fault, FSTS.PPF " +
             (faults.pending ? "1" : "0");
    return std::nullopt;
  }
  const FaultRecord& record = faults.records[0];
  if (const auto wrong =
          check_record(record, dma.requester, dma.iova, dma.access, case_.config.address_bits);
      !wrong.empty())
    oddity = wrong;
  return Blocked{.recorded = true, .code = record.reason};
}

Verdict VtdMachine::carry_out(const Dma& dma) {
  const Sighting seen = probe_.run(*ports_.at(dma.requester), dma);
  const FaultStatus faults = driver_->read_faults();
  const auto cleared = driver_->clear_faults();
  std::string oddity = seen.oddity;
  const auto result = conclude(dma, seen, faults, oddity);
  if (!cleared) oddity = cleared.error();

  Verdict verdict =
      judge(dma.permitted, result, oddity,
            [](const DmaResult& given, const DmaResult& got) { return permits(given, got); });
  for (const MemoryRun& run : dma.updated) {
    for (std::size_t i = 0; i < run.words.size(); ++i) {
      const bool same = premises_.ram.load64(run.first + i * sizeof(std::uint64_t)) == run.words[i];
      ++(same ? verdict.entries_as_given : verdict.entries_otherwise);
    }
  }
  return verdict;
}

Verdict VtdMachine::run(std::size_t index) {
  return std::visit([this](const auto& operation) { return carry_out(operation); },
                    case_.operations[index]);
}

std::unique_ptr<Machine> make_machine_of(const Fields& header, bool scalable,
                                         const MachineOptions& options) {
  auto premises = read_premises(header, options);
  if (!premises) return nullptr;
  return std::make_unique<VtdMachine>(std::move(*premises), scalable);
}

}  // namespace

std::unique_ptr<Machine> make_vtd_legacy_machine(const Fields& header,
                                                 const MachineOptions& options) {
  return make_machine_of(header, false, options);
}

std::unique_ptr<Machine> make_vtd_scalable_machine(const Fields& header,
                                                   const MachineOptions& options) {
  return make_machine_of(header, true, options);
}

}  // namespace weir::verify
