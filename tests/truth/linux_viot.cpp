// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tests/truth/linux_guest.h"

namespace weir::truth {
namespace {

using Node = ViotReading::Node;

class Guest final : public LinuxGuest {
 public:
  Guest(Bytes table, const GuestView& view) : view_(view), reading_(read_viot_again(table)) {
    complaint_ = reading_.complaint;
    for (const Node& node : reading_.nodes)
      if (node.type == 3 || node.type == 4) units_[node.place.at] = &node;
    for (const Node& node : reading_.nodes)
      if ((node.type == 1 || node.type == 2) && !units_.contains(node.output))
        complaint_ = "a node that leads to no unit";
    // What a unit hears of is the endpoint id alone.
    for (const Node& a : reading_.nodes)
      for (const Node& b : reading_.nodes)
        if (&a < &b && (a.type == 1 || a.type == 2) && (b.type == 1 || b.type == 2) &&
            a.output == b.output && overlap(a, b))
          complaint_ = "one endpoint id twice";
  }

  [[nodiscard]] std::string complaint() const override { return complaint_; }

  // Linux asks for every alias, and one that is in no range leaves the function without an IOMMU.
  [[nodiscard]] Verdict of(const SeenFunction& function) const override {
    Verdict verdict = number(function.segment, function.bdf);
    auto asked = view_.aliases(function);
    for (const std::uint16_t as : view_.requests(function)) asked.push_back(as);
    for (const std::uint16_t as : asked) {
      const Verdict here = number(function.segment, as);
      if (!here.complaint.empty()) return here;
      const bool arrives = view_.requests(function).contains(as);
      // An alias of a function that is not covered may be another's.
      if ((verdict.covered || arrives) &&
          (here.covered != verdict.covered || here.unit != verdict.unit))
        verdict.complaint = "requests are covered otherwise than their function";
    }
    if (verdict.covered && verdict.unit == (std::uint64_t{function.segment} << 16 | function.bdf))
      verdict.complaint = "a unit behind itself";
    return verdict;
  }

  [[nodiscard]] Verdict of(const SeenNamed& device) const override {
    Verdict verdict;
    for (const Node& node : reading_.nodes)
      if (node.type == 2 && device.mmio == node.base) cover(verdict, node);
    return verdict;
  }
  // No node names one.
  [[nodiscard]] Verdict of(const SeenSource&) const override { return {}; }

  [[nodiscard]] std::set<std::string> facts() const override {
    std::set<std::string> all;
    for (const auto& [at, unit] : units_) all.insert(fact("unit", name_of(*unit)));
    return all;
  }

  [[nodiscard]] Names names() const override {
    Names all;
    for (const auto& [at, unit] : units_) all[{0, name_of(*unit)}];
    for (const Node& node : reading_.nodes) {
      const auto unit = units_.find(node.output);
      if (node.type != 1 || unit == units_.end() || node.bdf_start > node.bdf_end) continue;
      for (std::uint32_t s = node.segment_start; s <= node.segment_end; ++s)
        all[{0, name_of(*unit->second)}].add(s << 16 | node.bdf_start, s << 16 | node.bdf_end);
    }
    return all;
  }

 private:
  [[nodiscard]] static std::uint64_t name_of(const Node& unit) {
    return unit.type == 3 ? std::uint64_t{unit.segment_start} << 16 | unit.bdf_start : unit.base;
  }
  [[nodiscard]] static std::uint64_t ids(const Node& node) {
    if (node.type == 2) return 1;
    return ((std::uint64_t{node.segment_end} - node.segment_start) << 16) + node.bdf_end -
           node.bdf_start + 1;
  }
  [[nodiscard]] static bool overlap(const Node& a, const Node& b) {
    return a.endpoint < b.endpoint + ids(b) && b.endpoint < a.endpoint + ids(a);
  }
  void cover(Verdict& verdict, const Node& node) const {
    if (verdict.covered) verdict.complaint = "two nodes name it";
    verdict.covered = true;
    if (const auto unit = units_.find(node.output); unit != units_.end())
      verdict.unit = name_of(*unit->second);
  }
  [[nodiscard]] Verdict number(std::uint16_t segment, std::uint16_t bdf) const {
    Verdict verdict;
    for (const Node& node : reading_.nodes)
      if (node.type == 1 && node.segment_start <= segment && segment <= node.segment_end &&
          node.bdf_start <= bdf && bdf <= node.bdf_end)
        cover(verdict, node);
    return verdict;
  }

  const GuestView& view_;
  const ViotReading reading_;
  std::map<std::size_t, const Node*> units_;
  std::string complaint_;
};

}  // namespace

std::unique_ptr<LinuxGuest> linux_with_viot(Bytes table, const GuestView& view) {
  return std::make_unique<Guest>(table, view);
}

}  // namespace weir::truth
