// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/vtd_ir_machine.h"

#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bits.h"
#include "iommu/iommu.h"
#include "tools/verify/machine_parts.h"
#include "tools/verify/named_pages.h"
#include "tools/verify/vtd_driver.h"
#include "tools/verify/vtd_ir_case.h"
#include "tools/verify/vtd_setup.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/unit.h"

namespace weir::verify {
namespace {

constexpr std::uint64_t kRegisterBase = 0xfed90000;
constexpr unsigned kAddressBits = 48;

// The interrupt controller, as far as messages go.
class Controller final : public InterruptSink {
 public:
  void on_device_msi(Requester, Msi msi) override { received_.push_back(msi); }
  void on_unit_msi(UnitId, Msi) override {}

  [[nodiscard]] std::vector<Msi> take() { return std::exchange(received_, {}); }

 private:
  std::vector<Msi> received_;
};

// Compatibility format: destination in 19:12, further bits of it in 63:40; vector in 7:0.
Delivered decode(Msi msi) {
  constexpr Field<19, 12> kLow{"destination"};
  constexpr Field<63, 40> kHigh{"destination"};
  constexpr Field<7, 0> kVector{"vector"};
  constexpr Field<31, 8> kUpper{"destination[31:8]"};
  return {
      .apic = static_cast<std::uint32_t>(kLow.get(msi.address) | kUpper.of(kHigh.get(msi.address))),
      .vector = static_cast<std::uint8_t>(kVector.get(msi.data))};
}

class VtdIrMachine final : public Machine {
 public:
  explicit VtdIrMachine(Premises premises) : premises_(std::move(premises)) {}

  Result<Done, std::string> load(const Fields& fields) override;
  Verdict run(std::size_t index) override;

 private:
  Verdict carry_out(const EditMemory& edit);
  Verdict carry_out(const SwitchRemapping& change);
  Verdict carry_out(const FlushEntries& flush);
  Verdict carry_out(const Message& message);

  void check(const Fields& fields) const;
  [[nodiscard]] std::optional<DriverPages> find_pages() const;
  Result<Done, std::string> build(DriverPages pages);

  // Constant after construction.
  Premises premises_;
  // Of the current case; destroyed from the last to the first.
  Controller controller_;
  IrCase case_;
  std::unique_ptr<Iommu> iommu_;
  std::unique_ptr<VtdDriver> driver_;
  Ports ports_;
};

void VtdIrMachine::check(const Fields& fields) const {
  check_runs(premises_, case_.memory, fields);
  for (const IrOperation& operation : case_.operations) {
    if (const auto* edit = std::get_if<EditMemory>(&operation))
      check_runs(premises_, edit->runs, fields);
    if (const auto* message = std::get_if<Message>(&operation))
      check_device(premises_, message->requester, fields);
  }
}

// The case names memory only by its runs, and its table.
std::optional<DriverPages> VtdIrMachine::find_pages() const {
  NamedPages named;
  named.add(case_.config.table.value());
  named.add(case_.memory);
  for (const IrOperation& operation : case_.operations)
    if (const auto* edit = std::get_if<EditMemory>(&operation)) named.add(edit->runs);
  return find_driver_pages(named, premises_.ram);
}

Result<Done, std::string> VtdIrMachine::load(const Fields& fields) {
  ports_.clear();
  driver_.reset();
  iommu_.reset();
  case_ = read_ir_case(fields);
  if (!fields.ok()) return Done{};
  check(fields);
  if (!fields.ok()) return Done{};
  const auto pages = find_pages();
  if (!pages) return Failure{std::string("no page of RAM is left for the driver's queue")};
  premises_.ram.clear();
  write_runs(premises_.ram, case_.memory);
  return build(*pages);
}

Result<Done, std::string> VtdIrMachine::build(DriverPages pages) {
  controller_ = Controller();
  iommu_ = std::make_unique<Iommu>(IommuConfig{.memory = premises_.ram.memory(),
                                               .sinks = {.interrupts = &controller_},
                                               .caches = premises_.options.caches});
  UnitCoverage everything;
  everything.register_base = kRegisterBase;
  everything.rest_of_segment = true;
  const auto table = vtd::build_dmar(Coverage{{everything}}, {.host_address_bits = kAddressBits});
  if (const auto used = iommu_->use_tables(vtd::dmar_parser(), table); !used)
    return Failure{"the DMAR is refused: " + used.error().cause};
  vtd::Options options;
  options.fault_records = 1;
  options.interrupt_remapping = true;
  constexpr Bit<4> kExtended{"EIM"};
  options.extended_interrupts = kExtended.is_set(case_.config.ecap);
  auto& unit = iommu_->add_unit<vtd::Unit>(kRegisterBase, options);
  driver_ = std::make_unique<VtdDriver>(*iommu_, unit, premises_.ram, pages);
  auto ports = attach_all(*iommu_, premises_.devices);
  if (!ports) return Failure{ports.error()};
  ports_ = std::move(*ports);
  return driver_->start_interrupts(case_.config.table, case_.config.size, case_.config.extended);
}

Verdict VtdIrMachine::carry_out(const EditMemory& edit) {
  write_runs(premises_.ram, edit.runs);
  return carried_out(Done{});
}

Verdict VtdIrMachine::carry_out(const SwitchRemapping& change) {
  return carried_out(driver_->set_remapping(change.on));
}

Verdict VtdIrMachine::carry_out(const FlushEntries& flush) {
  return carried_out(driver_->flush_entries(flush.index, flush.mask));
}

Verdict VtdIrMachine::carry_out(const Message& message) {
  std::array<std::byte, sizeof message.data> bytes{};
  std::memcpy(bytes.data(), &message.data, bytes.size());
  const bool sent = ports_.at(message.requester)->write(Iova(message.address), bytes).ok();
  const std::vector<Msi> received = controller_.take();
  const FaultStatus faults = driver_->read_faults();
  const auto cleared = driver_->clear_faults();

  std::optional<MessageResult> result;
  std::string oddity;
  if (sent && received.size() == 1 && faults.records.empty()) {
    result = decode(received[0]);
  } else if (!sent && received.empty() && faults.records.empty() && !faults.pending) {
    result = Refused{};
  } else if (!sent && received.empty() && faults.records.size() == 1 && faults.pending) {
    const FaultRecord& record = faults.records[0];
    constexpr Field<63, 48> kIndex{"FI[63:48]"};
    result = Refused{.fault = {.recorded = true, .code = record.reason},
                     .index = static_cast<std::uint16_t>(kIndex.get(record.info))};
    if (record.source != message.requester.bdf) oddity = "the record has another SID";
    if ((record.info & ~kIndex.kMask) != 0) oddity = "the record's FI has more than the index";
  } else {
    oddity = std::to_string(received.size()) + " interrupts, " +
             std::to_string(faults.records.size()) + " records, the write " +
             (sent ? "succeeded" : "failed");
  }
  if (!cleared) oddity = cleared.error();
  return judge(message.permitted, result, oddity, std::equal_to<>());
}

Verdict VtdIrMachine::run(std::size_t index) {
  return std::visit([this](const auto& operation) { return carry_out(operation); },
                    case_.operations[index]);
}

}  // namespace

std::unique_ptr<Machine> make_vtd_ir_machine(const Fields& header, const MachineOptions& options) {
  auto premises = read_premises(header, options);
  if (!premises) return nullptr;
  return std::make_unique<VtdIrMachine>(std::move(*premises));
}

}  // namespace weir::verify
