// SPDX-License-Identifier: Apache-2.0
//
// Bugs seeded where pages of tables and of the host map change hands: accessed bits in a page that
// is no table any more, PASIDs of one domain, a host map that moved.
#include <atomic>
#include <map>

#include "pagetables/readers.h"
#include "tests/iommu/machine.h"
#include "tests/iommu/table_unit.h"
#include "tests/seams/verdict.h"

namespace weir::seam {
namespace {

using iotlb::Scope;
using pagetables::VtdSecondStage;
using testing_iommu::kData;
using testing_iommu::Machine;
using testing_iommu::Tables;
using testing_iommu::TableUnit;

constexpr std::uint16_t kSid = 0x20;
constexpr std::uint64_t kEntries = 4;

// Tables written word by word, so that their leaf page can be replaced.
struct LeafPages {
  LeafPages() {
    root = *machine.allocate();
    const Gpa level3 = *machine.allocate();
    level2 = *machine.allocate();
    machine.word(root) = VtdSecondStage::make_table(level3.value(), 4);
    machine.word(level3) = VtdSecondStage::make_table(level2.value(), 3);
    for (Gpa* page : {&first, &second}) *page = *machine.allocate();
    fill(first);
    fill(second);
    link(first);
    unit.set_context(Requester::from_sid(kSid), TableUnit::second_stage(1, root));
    (void)unit.set_mode(UnitMode::kTranslating);
    port = machine.attach(kSid);
  }
  // Leaves to kData, none of them used so far.
  void fill(Gpa page) {
    for (std::uint64_t i = 0; i < kEntries; ++i) machine.word(page + i * 8) = leaf(i);
  }
  [[nodiscard]] static std::uint64_t leaf(std::uint64_t i) {
    return VtdSecondStage::make_leaf((kData + i * kPageSize).value(), kPageLg2,
                                     Permissions::read_write());
  }
  void link(Gpa page) { machine.word(level2) = VtdSecondStage::make_table(page.value(), 2); }
  [[nodiscard]] bool touched(Gpa page) {
    for (std::uint64_t i = 0; i < kEntries; ++i)
      if (machine.word(page + i * 8) != leaf(i)) return true;
    return false;
  }

  Machine machine{Machine::Options{.add_unit = false}};
  TableUnit& unit = machine.iommu->add_unit<TableUnit>(testing_iommu::kUnitBase);
  Gpa root, level2, first, second;
  std::unique_ptr<DmaPort> port;
};

// A table page is replaced and becomes data that looks just as it did. Another page behind it is
// asked for afterwards: nothing may remember where the old table lay.
Verdict walk_after_a_table_was_replaced() {
  LeafPages s;
  (void)s.port->translate(Iova(0), 8, Access::kRead);
  s.link(s.second);
  const std::uint64_t number = s.unit.post({.scope = Scope::kRange,
                                            .domain = DomainId{1},
                                            .range = {Iova(0), Iova(kEntries * kPageSize - 1)}});
  if (s.unit.completed() < number) return Verdict::kWaitsForEver;
  s.fill(s.first);
  (void)s.port->translate(Iova(kPageSize), 8, Access::kWrite);
  if (s.touched(s.first)) return Verdict::kLateTableWrite;
  return s.touched(s.second) ? Verdict::kKept : Verdict::kWrongSchedule;
}

TEST(SeededPages, AWalkFromAForgottenTable) {
  expect_caught(Bug::kWalkCacheForgotten, Verdict::kLateTableWrite,
                walk_after_a_table_was_replaced);
}

// The same while a walk has read the entry and not set its accessed bit yet: a compare-exchange
// does not help, the recycled page holds the very word.
Verdict recycle_between_read_and_update() {
  LeafPages s;
  s.unit.before_update = [] { WEIR_SEAM(kBeforeUpdate); };
  Actor device([&] { (void)s.port->translate(Iova(kPageSize), 8, Access::kWrite); });
  // The entries of the upper levels are used first.
  for (int level = 4; level > 1; --level)
    if (!device.run_to(Point::kBeforeUpdate)) return Verdict::kWrongSchedule;
  if (!device.run_to(Point::kBeforeUpdate)) return Verdict::kWrongSchedule;
  s.link(s.second);
  const std::uint64_t number = s.unit.post({.scope = Scope::kDomain, .domain = DomainId{1}});
  const bool recycled = s.unit.completed() >= number;
  device.finish();
  if (s.unit.completed() < number) return Verdict::kWaitsForEver;
  if (recycled && s.touched(s.first)) return Verdict::kLateTableWrite;
  return s.touched(s.first) ? Verdict::kKept : Verdict::kWrongSchedule;
}

TEST(SeededPages, AnAccessedBitInARecycledTablePage) {
  expect_caught(Bug::kCompletedEarly, Verdict::kLateTableWrite, recycle_between_read_and_update);
  expect_caught(Bug::kBurstShownLate, Verdict::kLateTableWrite, recycle_between_read_and_update);
}

// Each PASID of a function has tables of its own, in one domain.
class PasidUnit final : public Unit {
 public:
  explicit PasidUnit(UnitHost& host) { host.set_mode(UnitMode::kTranslating); }
  Result<iotlb::Context, Fault> read_context(const Request& request,
                                             const pagetables::PhysicalMemory&) override {
    iotlb::Context context = TableUnit::second_stage(1, roots.at(request.pasid->value));
    context.pasid = request.pasid->value;
    return context;
  }
  std::optional<Fault> check(const iotlb::Context&, const Request&) override {
    return std::nullopt;
  }
  Result<pagetables::Leaf<Gpa>, Fault> walk(const iotlb::Context& context, const Request& piece,
                                            const WalkScope& scope) override {
    pagetables::DirectReader reader(scope.memory);
    const auto leaf = pagetables::walk<VtdSecondStage>(
        VtdSecondStage::rules({}), reader, Gpa(context.stage2_root), context.stage2_levels,
        piece.iova.value(), Ask{.access = piece.access});
    if (leaf) return *leaf;
    return Failure{Fault{.request = piece, .reason = leaf.error().reason}};
  }
  void record(const Fault&) override {}
  void poll() override {}
  void reset() override {}

  std::map<std::uint32_t, Gpa> roots;
};

Verdict two_pasids_of_one_domain() {
  Machine machine(Machine::Options{.add_unit = false});
  auto& unit = machine.iommu->add_unit<PasidUnit>(testing_iommu::kUnitBase);
  std::map<std::uint32_t, std::unique_ptr<Tables>> tables;
  for (const std::uint32_t pasid : {1U, 2U}) {
    tables[pasid] = std::make_unique<Tables>(machine);
    tables[pasid]->map(Iova(0x5000), kData + pasid * kPageSize);
    unit.roots[pasid] = tables[pasid]->root();
  }
  const auto port = machine.attach(kSid);
  for (int turn = 0; turn < 2; ++turn)
    for (const std::uint32_t pasid : {1U, 2U}) {
      const auto t = port->translate(Iova(0x5000), 8, Access::kRead, {.pasid = Pasid{pasid}});
      if (!t) return Verdict::kWrongSchedule;
      if (t->gpa != kData + pasid * kPageSize) return Verdict::kForeignPasid;
    }
  return Verdict::kKept;
}

TEST(SeededPages, AForgottenPasidTag) {
  expect_caught(Bug::kPasidForgotten, Verdict::kForeignPasid, two_pasids_of_one_domain);
}

// A host map that reads something: all of RAM is moved by a page or not at all.
class MovingMap final : public pagetables::HostMap {
 public:
  Result<pagetables::HostMapping, pagetables::WalkFailure> lookup(Gpa at) const override {
    const Gpa page = at.page_base(kPageLg2);
    return pagetables::HostMapping{.hpa = Hpa(at.value() + moved),
                                   .window = {page, page + (kPageSize - 1)},
                                   .permissions = Permissions::read_write(),
                                   .references = 1};
  }
  std::atomic<std::uint64_t> moved{0};
};

Verdict move_a_page_of_the_host_map() {
  auto map = std::make_shared<MovingMap>();
  Machine machine(Machine::Options{.host_map = map, .add_unit = false});
  Iommu bypass({.memory = machine.make_memory(), .host_map = map});
  const auto port = bypass.attach({.function = Requester::from_sid(kSid)});
  const auto lands = [&] {
    const auto t = (*port)->translate(Iova(kData.value()), 8, Access::kRead);
    return t ? t->hpa : Hpa(0);
  };
  if (lands() != Hpa(kData.value())) return Verdict::kWrongSchedule;
  map->moved = kPageSize;
  const Change change = bypass.host_map_changed({kData, kData + (kPageSize - 1)});
  if (!change.complete()) return Verdict::kWaitsForEver;
  return lands() == Hpa(kData.value() + kPageSize) ? Verdict::kKept : Verdict::kOldHostPage;
}

TEST(SeededPages, AForgottenHostMapRange) {
  expect_caught(Bug::kHostRangeForgotten, Verdict::kOldHostPage, move_a_page_of_the_host_map);
}

}  // namespace
}  // namespace weir::seam
