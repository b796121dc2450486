// SPDX-License-Identifier: Apache-2.0
//
// Listeners: what they have been told is, after every flush, what the guest's tables say; each
// difference is told once, and removals name what was mapped.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "iommu/map_listener.h"
#include "tests/iommu/machine.h"

namespace weir::testing_iommu {
namespace {

constexpr std::uint16_t kSid = 0x20;
constexpr Iova kPage{0x5000};
constexpr std::uint64_t k2M = 0x200000;

// Keeps what a VFIO container would.
class Mirror final : public MapListener {
 public:
  void on_map(const Mapping& mapping) override {
    ++maps;
    const auto [at, fresh] = held.emplace(mapping.range.first.value(), mapping);
    EXPECT_TRUE(fresh) << "mapped over a mapping";
    const auto next = std::next(at);
    EXPECT_TRUE(next == held.end() || next->second.range.first > mapping.range.last);
    EXPECT_TRUE(at == held.begin() || std::prev(at)->second.range.last < mapping.range.first);
  }
  void on_unmap(const Mapping& mapping) override {
    ++unmaps;
    const auto found = held.find(mapping.range.first.value());
    ASSERT_NE(found, held.end()) << "never mapped";
    EXPECT_EQ(found->second, mapping);
    held.erase(found);
  }
  void on_lost() override { lost = true; }

  std::map<std::uint64_t, Mapping> held;
  std::size_t maps = 0;
  std::size_t unmaps = 0;
  bool lost = false;
};

class Listeners : public testing::Test {
 protected:
  Listeners() {
    machine.unit->announces = true;
    context.coherence = iotlb::Coherence::kCaching;
    use(context);
    port = machine.attach(kSid);
  }
  void use(const iotlb::Context& to) {
    machine.unit->set_context(Requester::from_sid(kSid), to);
    machine.unit->post({.scope = iotlb::Scope::kContextAll});
  }
  void listen() { listening = port->listen(mirror).value(); }
  void flush(Iova page, std::uint64_t size = kPageSize) {
    machine.unit->post(flush_page(1, page, size));
  }

  Machine machine;
  Tables tables{machine};
  iotlb::Context context = FakeUnit::second_stage(1, tables.root());
  std::unique_ptr<DmaPort> port;
  Mirror mirror;
  std::unique_ptr<Listening> listening;
};

TEST_F(Listeners, HearWhatIsThereAndThenWhatChanges) {
  tables.map(kPage, kData);
  tables.map(Iova(0x40000000), Gpa(0), k2M, Permissions::read_only());
  listen();
  ASSERT_EQ(mirror.held.size(), 2u);
  EXPECT_EQ(mirror.held.at(0x5000).gpa, kData);
  EXPECT_EQ(mirror.held.at(0x40000000).range.last, Iova(0x40000000 + k2M - 1));
  EXPECT_FALSE(mirror.held.at(0x40000000).permissions.can_write());
  tables.map(kPage + kPageSize, kData + kPageSize);
  EXPECT_EQ(mirror.maps, 2u) << "not announced yet";
  flush(kPage + kPageSize);
  EXPECT_EQ(mirror.maps, 3u);
  flush(kPage + kPageSize);
  flush(Iova(0), 0x100000000);
  EXPECT_EQ(mirror.maps, 3u) << "nothing has changed";
  EXPECT_EQ(mirror.unmaps, 0u);
  tables.unmap(kPage);
  flush(kPage);
  EXPECT_EQ(mirror.unmaps, 1u);
  EXPECT_FALSE(mirror.held.contains(0x5000));
  tables.map(kPage + kPageSize, kData + kPageSize, kPageSize, Permissions::read_only());
  flush(kPage + kPageSize);
  EXPECT_EQ(mirror.unmaps, 2u);
  EXPECT_FALSE(mirror.held.at(0x6000).permissions.can_write());
  tables.unmap(kPage + kPageSize);
  machine.unit->post(flush_page(2, kPage + kPageSize));
  EXPECT_TRUE(mirror.held.contains(0x6000)) << "another domain's flush";
  listening.reset();
  flush(kPage + kPageSize);
  EXPECT_TRUE(mirror.held.contains(0x6000)) << "nobody listens any more";
}

// A large page that became small ones, of which one was flushed: the others are told too.
TEST_F(Listeners, APartOfALargePage) {
  tables.map(Iova(0x40000000), Gpa(0), k2M);
  listen();
  tables.unmap(Iova(0x40000000), k2M);
  tables.map(Iova(0x40000000), Gpa(0), k2M, Permissions::read_write(), 12);
  flush(Iova(0x40003000));
  EXPECT_EQ(mirror.held.size(), 512u);
  EXPECT_EQ(mirror.held.at(0x40007000).gpa, Gpa(0x7000));
}

TEST_F(Listeners, ContextsAndModesChangeWithThem) {
  tables.map(kPage, kData);
  listen();
  iotlb::Context pass;
  pass.kind = iotlb::ContextKind::kPassThrough;
  pass.input_bits = 48;
  use(pass);
  ASSERT_EQ(mirror.held.size(), 2u) << "identity, but for the interrupt range";
  EXPECT_EQ(mirror.held.at(0).range.last, Iova(0xfedfffff));
  EXPECT_EQ(mirror.held.at(0xfef00000).range.last, Iova(0xffffffffffff));
  use({});
  EXPECT_TRUE(mirror.held.empty());
  ASSERT_TRUE(machine.unit->set_mode(UnitMode::kOff));
  EXPECT_EQ(mirror.held.size(), 2u);
  ASSERT_TRUE(machine.unit->set_mode(UnitMode::kTranslating));
  use(context);
  EXPECT_EQ(mirror.held.size(), 1u);
  (void)machine.iommu->reset();
  EXPECT_EQ(mirror.held.size(), 2u) << "off again";
}

TEST_F(Listeners, HostChangesAreTold) {
  tables.map(kPage, kData);
  tables.map(kPage + kPageSize, kData + 8 * kPageSize);
  listen();
  (void)machine.iommu->host_map_changed({kData, kData + 0xfff});
  EXPECT_EQ(mirror.unmaps, 1u);
  EXPECT_EQ(mirror.maps, 3u);
  EXPECT_EQ(mirror.held.size(), 2u);
  (void)machine.iommu->change_memory(machine.make_memory());
  EXPECT_EQ(mirror.unmaps, 3u);
  EXPECT_EQ(mirror.held.size(), 2u);
}

TEST_F(Listeners, AreRefusedWhereMappingsAreNotAnnounced) {
  machine.unit->announces = false;
  EXPECT_FALSE(port->listen(mirror));
  machine.unit->announces = true;
  listen();
  FirstStageTables first(machine);
  use(FakeUnit::first_stage(1, first.root()));
  EXPECT_TRUE(mirror.lost) << "the guest changed to tables that it need not announce";
  EXPECT_TRUE(mirror.held.empty());
  Mirror other;
  EXPECT_FALSE(port->listen(other));
  Machine verified({.caches = {.verified = true}});
  verified.unit->announces = true;
  EXPECT_FALSE(verified.attach(kSid)->listen(other));
}

// Tables that lead to themselves: 2^36 pages, of which nobody lists more than he can keep.
TEST_F(Listeners, LoopsAreNotFollowedForEver) {
  listen();
  const Gpa page = *machine.allocate();
  for (std::uint64_t i = 0; i < 512; ++i) machine.word(page + i * 8) = page.value() | 3;
  use(FakeUnit::second_stage(1, page));
  iotlb::Context loop = FakeUnit::second_stage(1, page);
  loop.coherence = iotlb::Coherence::kCaching;
  Mirror other;
  use(loop);
  EXPECT_TRUE(mirror.lost);
  EXPECT_FALSE(port->listen(other));
}

// L1: told before the guest is told that it has completed.
TEST_F(Listeners, AreToldBeforeTheCompletion) {
  struct Witness final : MapListener {
    explicit Witness(FakeUnit& of) : unit(of) {}
    void on_map(const Mapping&) override {}
    void on_unmap(const Mapping&) override { at_unmap = unit.completed(); }
    void on_lost() override {}
    FakeUnit& unit;
    std::uint64_t at_unmap = ~std::uint64_t{0};
  };
  tables.map(kPage, kData);
  Witness witness(*machine.unit);
  const auto held = port->listen(witness).value();
  tables.unmap(kPage);
  const std::uint64_t number = machine.unit->post(flush_page(1, kPage));
  EXPECT_LT(witness.at_unmap, number);
  EXPECT_GE(machine.unit->completed(), number);
}

// Differential: random tables, random flushes; after each, what was flushed is what the walk says.
TEST_F(Listeners, AgreeWithTheTablesOverRandomRuns) {
  for (std::uint32_t seed = 0; seed < 5; ++seed) {
    std::mt19937_64 random(seed);
    Tables own(machine);
    iotlb::Context mine = FakeUnit::second_stage(1, own.root());
    mine.coherence = iotlb::Coherence::kCaching;
    use(mine);
    Mirror here;
    auto held = port->listen(here).value();
    for (int step = 0; step < 300; ++step) {
      const bool large = random() % 8 == 0;
      const std::uint64_t size = large ? k2M : kPageSize * (1 + random() % 4);
      const Iova at = large ? Iova((random() % 4) * k2M) : Iova((random() % 1024) << 12);
      own.unmap(at, size);
      if (random() % 3 != 0)
        own.map(at, Gpa((random() % 64) * k2M), size,
                random() % 2 == 0 ? Permissions::read_write() : Permissions::read_only());
      flush(at, size);
    }
    machine.unit->post({.scope = iotlb::Scope::kDomain, .domain = DomainId{1}});
    const std::size_t maps = here.maps;
    for (std::uint64_t page = 0; page < 4 * 512 + 8; ++page) {
      const Iova iova(page << 12);
      auto next = here.held.upper_bound(iova.value());
      const Mapping* mapping = next == here.held.begin() ? nullptr : &std::prev(next)->second;
      if (mapping != nullptr && mapping->range.last < iova) mapping = nullptr;
      const auto walked = port->translate(iova, 1, Access::kRead);
      const bool absent = !walked && walked.error().stage != Stage::kHostMap;
      ASSERT_EQ(mapping == nullptr, absent) << std::hex << iova.value();
      if (walked) {
        ASSERT_EQ(mapping->gpa + (iova - mapping->range.first), walked->gpa);
      }
    }
    machine.unit->post({.scope = iotlb::Scope::kAll});
    EXPECT_EQ(here.maps, maps) << "no difference is told twice";
    EXPECT_EQ(here.maps - here.unmaps, here.held.size());
  }
}

}  // namespace
}  // namespace weir::testing_iommu
