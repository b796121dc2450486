// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tests/truth/linux_guest.h"

namespace weir::truth {
namespace {

using Scope = DmarReading::Scope;
using Structure = DmarReading::Structure;

constexpr std::uint16_t kDrhd = 0, kRmrr = 1, kAtsr = 2, kRhsa = 3, kAndd = 4, kSatc = 5, kSidp = 6;
constexpr std::uint8_t kEndpoint = 1, kBridge = 2, kIoApic = 3, kHpet = 4, kNamed = 5;

class Guest final : public LinuxGuest {
 public:
  Guest(Bytes table, const GuestView& view) : view_(view), reading_(read_dmar_again(table)) {
    complaint_ = reading_.complaint;
    std::uint16_t before = 0;
    for (const Structure& s : reading_.structures) {
      // 8.2: in ascending order of their types.
      if (s.type < before) complaint_ = "structures out of order";
      before = s.type;
      if (s.type == kDrhd) units_.push_back({&s, {}, {}});
    }
    // 8.3: the one that takes the rest of a segment comes last of it.
    for (std::size_t i = 0; i < units_.size(); ++i)
      for (std::size_t k = 0; k < i; ++k)
        if (units_[k].all() && units_[k].drhd->segment == units_[i].drhd->segment)
          complaint_ = "a unit follows the one that takes the rest";
    for (Unit& unit : units_)
      for (const Scope& scope : unit.drhd->scopes) resolve(unit, scope);
  }

  [[nodiscard]] std::string complaint() const override { return complaint_; }

  [[nodiscard]] Verdict of(const SeenFunction& function) const override {
    // Scopes know a virtual function by its physical one.
    const SeenFunction* target = &function;
    if (function.physical)
      if (const SeenFunction* const physical = view_.find(function.segment, *function.physical))
        target = physical;
    const unsigned bus = target->bdf >> 8;
    Verdict verdict;
    for (const Unit& unit : units_) {
      if (unit.drhd->segment != function.segment) continue;
      const auto names = [&](const SeenFunction* named) {
        return named == target || (named->bridge() && named->secondary != 0 &&
                                   named->secondary <= bus && bus <= named->subordinate);
      };
      if (std::ranges::any_of(unit.functions, names)) cover(verdict, unit);
    }
    if (verdict.covered) return verdict;
    for (const Unit& unit : units_)
      if (unit.all() && unit.drhd->segment == function.segment) {
        if (unit.drhd->base != verdict.unit || !verdict.covered) cover(verdict, unit);
      }
    return verdict;
  }

  [[nodiscard]] Verdict of(const SeenNamed& device) const override {
    Verdict verdict;
    for (const Structure& andd : reading_.structures) {
      if (andd.type != kAndd || andd.name != device.path) continue;
      for (const Unit& unit : units_)
        for (const Scope* scope : unit.others)
          if (scope->type == kNamed && scope->enumeration == andd.number) {
            cover(verdict, unit);
            check_number(verdict, *scope, *unit.drhd, device.segment, device.number);
          }
    }
    return verdict;
  }

  [[nodiscard]] Verdict of(const SeenSource& source) const override {
    Verdict verdict;
    for (const Unit& unit : units_)
      for (const Scope* scope : unit.others)
        if (scope->type == (source.hpet ? kHpet : kIoApic) && scope->enumeration == source.id) {
          cover(verdict, unit);
          check_number(verdict, *scope, *unit.drhd, source.segment, source.number);
        }
    return verdict;
  }

  [[nodiscard]] std::set<std::string> facts() const override {
    std::set<std::string> all;
    for (const Structure& s : reading_.structures) {
      if (s.type == kDrhd) all.insert(fact("unit", s.base, s.segment, s.flags & 1));
      if (s.type == kRhsa) all.insert(fact("rhsa", s.base, s.proximity));
      for (const Scope& scope : s.scopes) {
        const SeenFunction* const named = walk(scope, s.segment);
        if (named == nullptr || named->bridge() != (scope.type == kBridge)) continue;
        const std::uint64_t who = std::uint64_t{named->segment} << 16 | named->bdf;
        if (s.type == kRmrr) all.insert(fact("reserved", who, s.base, s.limit));
        // The port on the way up that dmar_find_matched_atsr_unit compares with.
        if (s.type == kAtsr)
          all.insert(fact(named->root_port && scope.type == kBridge ? "ats below" : "?", who));
        if (s.type == kSatc) all.insert(fact("ats of the chip", who));
        if (s.type == kSidp) all.insert(fact("properties", who, scope.flags));
      }
    }
    return all;
  }

 private:
  struct Unit {
    const Structure* drhd;
    std::vector<const SeenFunction*> functions;
    std::vector<const Scope*> others;
    [[nodiscard]] bool all() const { return (drhd->flags & 1) != 0; }
  };

  static void cover(Verdict& verdict, const Unit& unit) {
    if (verdict.covered) verdict.complaint = "two units name it";
    verdict.covered = true;
    verdict.unit = unit.drhd->base;
  }
  // For what is no PCI function the scope says what its requests bear.
  static void check_number(Verdict& verdict, const Scope& scope, const Structure& drhd,
                           std::uint16_t segment, std::uint16_t number) {
    if (drhd.segment != segment || scope.path.size() != 1 ||
        number != (scope.bus << 8 | scope.path[0].first << 3 | scope.path[0].second))
      verdict.complaint = "its scope says another number";
  }

  // Down from the start bus: each step but the last is a bridge, whose secondary bus is next.
  [[nodiscard]] const SeenFunction* walk(const Scope& scope, std::uint16_t segment) const {
    unsigned bus = scope.bus;
    const SeenFunction* here = nullptr;
    for (const auto& [device, function] : scope.path) {
      if (here != nullptr) {
        if (!here->bridge()) return nullptr;
        bus = here->secondary;
      }
      here = view_.find(segment, bus << 8 | unsigned{device} << 3 | function);
      if (here == nullptr) return nullptr;
    }
    return here;
  }

  void resolve(Unit& unit, const Scope& scope) {
    if (scope.type != kEndpoint && scope.type != kBridge) {
      unit.others.push_back(&scope);
      return;
    }
    const SeenFunction* const named = walk(scope, unit.drhd->segment);
    if (named == nullptr) return;
    if (named->bridge() != (scope.type == kBridge)) {
      complaint_ = "device scope type does not match";
      return;
    }
    unit.functions.push_back(named);
  }

  const GuestView& view_;
  const DmarReading reading_;
  std::vector<Unit> units_;
  std::string complaint_;
};

}  // namespace

std::unique_ptr<LinuxGuest> linux_with_dmar(Bytes table, const GuestView& view) {
  return std::make_unique<Guest>(table, view);
}

std::unique_ptr<LinuxGuest> linux_guest(Format format, Bytes table, const GuestView& view) {
  switch (format) {
    case Format::kDmar:
      return linux_with_dmar(table, view);
    case Format::kIvrs:
      return linux_with_ivrs(table, view);
    case Format::kViot:
      return linux_with_viot(table, view);
  }
  return nullptr;
}

std::string fact(const char* what, std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  return std::string(what) + " " + std::to_string(a) + " " + std::to_string(b) + " " +
         std::to_string(c);
}

}  // namespace weir::truth
