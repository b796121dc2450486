// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>

#include "tests/truth/linux_guest.h"

namespace weir::truth {
namespace {

using Entry = IvrsReading::Entry;
using Unit = IvrsReading::Unit;

// What kernels read of the table: those that know a newer kind of unit leave the older ones out.
class Generation {
 public:
  explicit Generation(std::uint8_t type) : type_(type) {}

  void take(const Unit& unit, std::string& complaint) {
    if (unit.type != type_) return;
    std::optional<Entry> start;
    for (const Entry& e : unit.entries) {
      switch (e.type) {
        case 0x01:
          name(unit, 0, 0xffff);
          break;
        case 0x02:
        case 0x46:
          name(unit, e.device, e.device);
          break;
        case 0xf0:
          if (type_ != 0x40) complaint = "an ACPI device in an older kind of unit";
          if (e.hid.empty()) complaint = "a hardware id that is none";
          if (e.uid_type != (e.uid.empty() ? 0 : 2)) complaint = "a unique id of another kind";
          name(unit, e.device, e.device);
          acpi_.push_back({&unit, &e});
          break;
        case 0x42:
          name(unit, e.device, e.device);
          name(unit, e.source, e.source);
          aliases_[{unit.segment, e.device}] = e.source;
          break;
        case 0x48:
          name(unit, e.source, e.source);
          special_.push_back({&unit, &e});
          break;
        case 0x03:
          start = e;
          break;
        case 0x04:
          if (!start || start->device > e.device)
            complaint = "an end of a range without its start";
          else
            name(unit, start->device, e.device);
          start.reset();
          break;
        default:
          complaint = "a device entry of a kind that is not expected";
      }
    }
    if (start) complaint = "a range without an end";
  }

  [[nodiscard]] Verdict number(std::uint16_t segment, std::uint16_t number) const {
    Verdict verdict;
    for (const Named& named : named_)
      if (named.unit->segment == segment && named.first <= number && number <= named.last) {
        if (verdict.covered && verdict.unit != named.unit->base)
          verdict.complaint = "two units name it";
        verdict.covered = true;
        verdict.unit = named.unit->base;
      }
    return verdict;
  }
  [[nodiscard]] std::uint16_t alias(std::uint16_t segment, std::uint16_t number) const {
    const auto found = aliases_.find({segment, number});
    return found == aliases_.end() ? number : found->second;
  }
  void add_names(Names& all) const {
    for (const auto& [unit, first, last] : named_)
      all[{type_, unit->base}].add(std::uint32_t{unit->segment} << 16 | first,
                                   std::uint32_t{unit->segment} << 16 | last);
  }
  struct Listed {
    const Unit* unit;
    const Entry* entry;
  };
  [[nodiscard]] const std::vector<Listed>& acpi() const { return acpi_; }
  [[nodiscard]] const std::vector<Listed>& special() const { return special_; }

 private:
  struct Named {
    const Unit* unit;
    std::uint16_t first, last;
  };
  void name(const Unit& unit, std::uint16_t first, std::uint16_t last) {
    named_.push_back({&unit, first, last});
  }

  std::uint8_t type_;
  std::vector<Named> named_;
  std::map<std::pair<std::uint16_t, std::uint16_t>, std::uint16_t> aliases_;
  std::vector<Listed> acpi_, special_;
};

class Guest final : public LinuxGuest {
 public:
  Guest(Bytes table, const GuestView& view) : view_(view), reading_(read_ivrs_again(table)) {
    complaint_ = reading_.complaint;
    std::set<std::uint8_t> types;
    for (const Unit& unit : reading_.units) types.insert(unit.type);
    for (const std::uint8_t type : types) {
      generations_.emplace_back(type);
      for (const Unit& unit : reading_.units) generations_.back().take(unit, complaint_);
    }
    // Each kind of unit is for kernels of its time, and tells all of it.
    using Named = std::set<std::pair<std::uint64_t, unsigned>>;
    std::map<std::uint8_t, Named> by_type;
    for (const Unit& unit : reading_.units)
      by_type[unit.type].emplace(unit.base, unsigned{unit.segment} << 16 | unit.device);
    for (const auto& [type, units] : by_type)
      if (units != by_type.begin()->second) complaint_ = "another set of units for older kernels";
    for (const Unit& unit : reading_.units)
      if (view_.find(unit.segment, unit.device) == nullptr)
        complaint_ = "a unit that is no function of its segment";
  }

  [[nodiscard]] std::string complaint() const override { return complaint_; }

  [[nodiscard]] Verdict of(const SeenFunction& function) const override {
    return of_every_generation(
        [&](const Generation& generation) { return of(function, generation); });
  }

  [[nodiscard]] Verdict of(const SeenNamed& device) const override {
    if (generations_.empty()) return {};
    const Generation& newest = generations_.back();
    Verdict verdict = newest.number(device.segment, device.number);
    const bool by_number = verdict.covered;
    bool found = false;
    for (const auto& [unit, entry] : newest.acpi()) {
      // An entry without a unique id is any device with that hardware id.
      if (entry->hid != device.hid || (!entry->uid.empty() && entry->uid != device.uid)) continue;
      if (entry->device != device.number || unit->segment != device.segment)
        verdict.complaint = "its ids are listed with another number";
      found = true;
    }
    if (found != by_number) verdict.complaint = "its number and its ids are listed differently";
    return verdict;
  }

  [[nodiscard]] Verdict of(const SeenSource& source) const override {
    return of_every_generation(
        [&](const Generation& generation) { return of(source, generation); });
  }

  [[nodiscard]] std::set<std::string> facts() const override {
    std::set<std::string> all;
    for (const Unit& unit : reading_.units)
      all.insert(fact("unit", unit.base, unit.segment, unit.device));
    for (const auto& memory : reading_.memory) {
      const char* const kind = (memory.flags & 8) != 0 ? "excluded"
                               : memory.flags == 7     ? "reserved"
                                                       : "?";
      const std::uint64_t last = memory.base + memory.length - 1;
      // For all of the segment, also where nobody is there.
      if (memory.type == 0x20) all.insert(fact("of a segment", memory.segment, memory.base, last));
      for (const SeenFunction& f : view_.functions()) {
        if (f.segment != memory.segment) continue;
        auto own = view_.requests(f);
        own.insert(f.bdf);
        for (const std::uint16_t as : own) {
          const bool meant = memory.type == 0x20 || (memory.type == 0x21 && as == memory.device) ||
                             (memory.type == 0x22 && memory.device <= as && as <= memory.last);
          if (meant) all.insert(fact(kind, std::uint64_t{f.segment} << 16 | as, memory.base, last));
        }
      }
    }
    return all;
  }

  [[nodiscard]] Names names() const override {
    Names all;
    for (const Generation& generation : generations_) generation.add_names(all);
    for (const Unit& unit : reading_.units) all[{unit.type, unit.base}];
    return all;
  }

 private:
  // Of kernels of any time, who all have to find the same.
  template <typename Find>
  [[nodiscard]] Verdict of_every_generation(const Find& find) const {
    Verdict verdict;
    for (std::size_t i = 0; i < generations_.size(); ++i) {
      const Verdict here = find(generations_[i]);
      if (i > 0 && (here.covered != verdict.covered || here.unit != verdict.unit))
        return {.complaint = "older kernels find something else"};
      verdict = here;
      if (!verdict.complaint.empty()) break;
    }
    return verdict;
  }

  [[nodiscard]] static Verdict of(const SeenSource& source, const Generation& generation) {
    Verdict verdict = generation.number(source.segment, source.number);
    unsigned listed = 0;
    for (const auto& [unit, entry] : generation.special())
      if (entry->variety == (source.hpet ? 2 : 1) && entry->handle == source.id) {
        ++listed;
        if (entry->source != source.number || unit->segment != source.segment ||
            unit->base != verdict.unit)
          verdict.complaint = "it is listed otherwise than its number";
      }
    if (listed != (verdict.covered ? 1U : 0U))
      verdict.complaint = "its number and its handle are listed differently";
    return verdict;
  }

  // DMA arrives under the numbers of requests, and each has an entry of its own in the device
  // table; the guest looks for the function by its own number, and goes from there by its alias.
  [[nodiscard]] Verdict of(const SeenFunction& function, const Generation& generation) const {
    Verdict verdict = generation.number(function.segment, function.bdf);
    const auto requests = view_.requests(function);
    for (const std::uint16_t as : requests) {
      const Verdict here = generation.number(function.segment, as);
      if (!here.complaint.empty()) return here;
      if (here.covered != verdict.covered || here.unit != verdict.unit)
        verdict.complaint = "requests are covered otherwise than their function";
    }
    if (verdict.covered && !requests.contains(generation.alias(function.segment, function.bdf)))
      verdict.complaint = "its alias is none of its requests";
    for (const Unit& unit : reading_.units)
      if (verdict.covered && unit.segment == function.segment && unit.device == function.bdf &&
          unit.base == verdict.unit)
        verdict.complaint = "a unit behind itself";
    return verdict;
  }

  const GuestView& view_;
  const IvrsReading reading_;
  std::vector<Generation> generations_;
  std::string complaint_;
};

}  // namespace

std::unique_ptr<LinuxGuest> linux_with_ivrs(Bytes table, const GuestView& view) {
  return std::make_unique<Guest>(table, view);
}

}  // namespace weir::truth
