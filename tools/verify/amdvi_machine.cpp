// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/amdvi_machine.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "iommu/iommu.h"
#include "tools/verify/amdvi_case.h"
#include "tools/verify/amdvi_driver.h"
#include "tools/verify/dma_probe.h"
#include "tools/verify/machine_parts.h"
#include "tools/verify/named_pages.h"
#include "vendors/amdvi/ivrs.h"
#include "vendors/amdvi/unit.h"

namespace weir::verify {
namespace {

constexpr std::uint64_t kRegisterBase = 0xfed80000;

bool as_given(const AmdEvent& event, const EventDetails& details) {
  const bool flags = !details.has_flags ||
                     (event.present == details.present && event.permission == details.permission &&
                      event.reserved == details.reserved);
  return flags && (!details.domain || *details.domain == event.domain) &&
         (!details.address || *details.address == event.address) &&
         (!details.write || *details.write == event.write);
}

class AmdMachine final : public Machine {
 public:
  explicit AmdMachine(Premises premises)
      : premises_(std::move(premises)), probe_(premises_.ram, DmaProbe::TableUpdates::kNone) {}

  Result<Done, std::string> load(const Fields& fields) override;
  Verdict run(std::size_t index) override;

 private:
  Verdict carry_out(const EditMemory& edit);
  Verdict carry_out(const SwitchTranslation& change);
  Verdict carry_out(const ForgetEntry& entry);
  Verdict carry_out(const ForgetPages& pages);
  Verdict carry_out(const ForgetEverything&);
  Verdict carry_out(const AmdDma& dma);

  void check(const Fields& fields) const;
  Result<Done, std::string> build(AmdDriverPages pages);
  void count_details(Verdict& verdict, const AmdDma& dma, const AmdEvent& event) const;

  // Constant after construction.
  Premises premises_;
  ManualClock clock_;
  // Of the current case; destroyed from the last to the first.
  DmaProbe probe_;
  AmdCase case_;
  std::unique_ptr<Iommu> iommu_;
  std::unique_ptr<AmdDriver> driver_;
  Ports ports_;
};

void AmdMachine::check(const Fields& fields) const {
  check_runs(premises_, case_.memory, fields);
  for (const AmdOperation& operation : case_.operations) {
    if (const auto* edit = std::get_if<EditMemory>(&operation))
      check_runs(premises_, edit->runs, fields);
    if (const auto* dma = std::get_if<AmdDma>(&operation))
      check_device(premises_, dma->dma.requester, fields);
  }
}

Result<Done, std::string> AmdMachine::load(const Fields& fields) {
  ports_.clear();
  driver_.reset();
  iommu_.reset();
  case_ = read_amd_case(fields);
  if (!fields.ok()) return Done{};
  check(fields);
  if (!fields.ok()) return Done{};

  NamedPages named;
  for (unsigned i = 0; i < case_.config.device_table_pages; ++i)
    named.add(case_.config.device_table.value() + i * kPageSize);
  named.add(case_.memory);
  for (const AmdOperation& operation : case_.operations) {
    if (const auto* edit = std::get_if<EditMemory>(&operation)) named.add(edit->runs);
    if (const auto* dma = std::get_if<AmdDma>(&operation)) named.add(dma->dma);
  }
  const auto pages = named.others(premises_.ram, 3);
  if (pages.size() < 3)
    return Failure{std::string("no page of RAM is left for the driver's rings")};
  premises_.ram.clear();
  write_runs(premises_.ram, case_.memory);
  probe_.set_log({pages[1], pages[1] + (kPageSize - 1)});
  return build({.commands = pages[0], .events = pages[1], .semaphore = pages[2]});
}

Result<Done, std::string> AmdMachine::build(AmdDriverPages pages) {
  iommu_ = std::make_unique<Iommu>(IommuConfig{.memory = premises_.ram.memory(),
                                               .clock = &clock_,
                                               .sinks = {.interrupts = &probe_, .dirty = &probe_},
                                               .caches = premises_.options.caches});
  UnitCoverage everything;
  everything.register_base = kRegisterBase;
  everything.rest_of_segment = true;
  // Nothing in these files depends on features beyond host tables, DTE.I excepted.
  amdvi::Options options = amdvi::options_for(amdvi::Profile::kV1);
  options.device_tlb = true;
  const auto table = amdvi::build_ivrs(Coverage{{everything}}, {.unit = options});
  if (!table) return Failure{table.error()};
  if (const auto used = iommu_->use_tables(amdvi::ivrs_parser(), *table); !used)
    return Failure{"the IVRS is refused: " + used.error().cause};
  auto& unit = iommu_->add_unit<amdvi::Unit>(kRegisterBase, options);
  driver_ = std::make_unique<AmdDriver>(*iommu_, unit, premises_.ram, pages);
  auto ports = attach_all(*iommu_, premises_.devices);
  if (!ports) return Failure{ports.error()};
  ports_ = std::move(*ports);
  return driver_->start(case_.config.device_table, case_.config.device_table_pages);
}

Verdict AmdMachine::carry_out(const EditMemory& edit) {
  write_runs(premises_.ram, edit.runs);
  return carried_out(Done{});
}
Verdict AmdMachine::carry_out(const SwitchTranslation& change) {
  return carried_out(driver_->set_translation(change.on));
}
Verdict AmdMachine::carry_out(const ForgetEntry& entry) {
  return carried_out(driver_->forget_entry(entry.device));
}
Verdict AmdMachine::carry_out(const ForgetPages& pages) {
  return carried_out(driver_->forget_pages(pages));
}
Verdict AmdMachine::carry_out(const ForgetEverything&) {
  return carried_out(driver_->forget_everything());
}

void AmdMachine::count_details(Verdict& verdict, const AmdDma& dma, const AmdEvent& event) const {
  bool any = false;
  bool agrees = false;
  for (std::size_t i = 0; i < dma.dma.permitted.size(); ++i) {
    const auto* blocked = std::get_if<Blocked>(&dma.dma.permitted[i]);
    if (blocked == nullptr || blocked->code != event.code) continue;
    any = true;
    agrees = agrees || as_given(event, dma.details[i]);
  }
  if (any) ++(agrees ? verdict.events_as_given : verdict.events_otherwise);
}

Verdict AmdMachine::carry_out(const AmdDma& dma) {
  const Sighting seen = probe_.run(*ports_.at(dma.dma.requester), dma.dma);
  const auto events = driver_->take_events();
  std::string oddity = seen.oddity;
  std::optional<DmaResult> result;
  switch (seen.kind) {
    case Sighting::Kind::kReached:
      result = Reached{seen.gpa};
      break;
    case Sighting::Kind::kInterrupt:
      result = BecameInterrupt{};
      break;
    case Sighting::Kind::kBlocked:
      if (events.empty()) result = Blocked{};
      if (events.size() == 1)
        result = Blocked{.recorded = true, .code = static_cast<std::uint8_t>(events[0].code)};
      break;
    case Sighting::Kind::kUnclear:
      break;
  }
  if (seen.kind == Sighting::Kind::kBlocked ? events.size() > 1 : !events.empty())
    oddity = std::to_string(events.size()) + " events of one access";
  if (events.size() == 1 && events[0].device != dma.dma.requester.bdf)
    oddity = "the event has another DeviceID";
  Verdict verdict = judge(dma.dma.permitted, result, oddity, std::equal_to<>());
  if (events.size() == 1) count_details(verdict, dma, events[0]);
  if (!verdict.agrees &&
      driver_->ends_in_next_level_size(dma.dma.requester.bdf, dma.dma.iova.value()))
    verdict.overruled = "leaf-of-the-next-levels-size";
  return verdict;
}

Verdict AmdMachine::run(std::size_t index) {
  return std::visit([this](const auto& operation) { return carry_out(operation); },
                    case_.operations[index]);
}

}  // namespace

std::unique_ptr<Machine> make_amdvi_machine(const Fields& header, const MachineOptions& options) {
  auto premises = read_premises(header, options);
  if (!premises) return nullptr;
  return std::make_unique<AmdMachine>(std::move(*premises));
}

}  // namespace weir::verify
