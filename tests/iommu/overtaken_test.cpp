// SPDX-License-Identifier: Apache-2.0
//
// L2 on one thread: the guest changes its mind exactly while a walk or a context read is under way,
// through hooks of the fake unit. What the request itself finds is free; what is left behind is
// not.
#include <gtest/gtest.h>

#include "tests/iommu/machine.h"

namespace weir::testing_iommu {
namespace {

constexpr std::uint16_t kSid = 0x20;
constexpr Requester kFunction = Requester::from_sid(kSid);

class Overtaken : public testing::Test {
 protected:
  Overtaken() {
    machine.unit->set_context(kFunction, FakeUnit::second_stage(1, tables.root()));
    tables.map(Iova(0x5000), kData, 4 * kPageSize);
    elsewhere.map(Iova(0x5000), kData + 0x8000, 4 * kPageSize);
    port = machine.attach(kSid);
  }
  // Runs `change` once, in the hook.
  static auto once(std::function<void()> change) {
    return [change, done = std::make_shared<bool>(false)](const Request&) {
      if (!std::exchange(*done, true)) change();
    };
  }
  // Takes hold at once, as it does for a guest whose queue goes on to its next command: the fake's
  // own queue would wait for the request that is under way.
  void flush(const iotlb::Invalidation& what) { (void)machine.unit->host().invalidate(what); }
  Result<Translation, Fault> ask(Access access = Access::kRead) {
    return port->translate(Iova(0x5000), 4, access);
  }

  Machine machine;
  Tables tables{machine};
  Tables elsewhere{machine};
  std::unique_ptr<DmaPort> port;
};

TEST_F(Overtaken, AWalkOvertakenByAFlushIsNotKept) {
  for (const iotlb::Invalidation& what :
       {flush_page(1, Iova(0x5000)),
        iotlb::Invalidation{.scope = iotlb::Scope::kDomain, .domain = DomainId{1}},
        iotlb::Invalidation{.scope = iotlb::Scope::kAll}}) {
    tables.map(Iova(0x5000), kData);
    machine.unit->post({.scope = iotlb::Scope::kAll});
    // The walk has read the leaf; then the guest unmaps and flushes.
    machine.unit->after_walk = once([&] {
      tables.unmap(Iova(0x5000));
      machine.unit->post(what);
    });
    EXPECT_TRUE(ask()) << "answered from before, which is legal until the completion";
    machine.unit->after_walk = nullptr;
    EXPECT_FALSE(ask()) << to_string(what.scope) << ": the old answer was left behind";
  }
  EXPECT_EQ(machine.iommu->stats().refused_fills, 3u);
}

TEST_F(Overtaken, AFlushOfAnotherDomainCostsNothing) {
  machine.unit->after_walk =
      once([&] { machine.unit->post({.scope = iotlb::Scope::kDomain, .domain = DomainId{2}}); });
  EXPECT_TRUE(ask());
  EXPECT_EQ(ask()->outcome, Outcome::kHit);
}

// Context and tables are switched while the context is being read: the domain stays the same, so
// that only the context's own invalidation tells the two apart.
TEST_F(Overtaken, AContextReadOvertakenByItsInvalidation) {
  machine.unit->before_walk = once([&] {
    machine.unit->set_context(kFunction, FakeUnit::second_stage(1, elsewhere.root()));
    flush({.scope = iotlb::Scope::kContextDevice, .requester = kFunction});
    flush({.scope = iotlb::Scope::kDomain, .domain = DomainId{1}});
  });
  ASSERT_TRUE(ask());
  const auto after = ask();
  ASSERT_TRUE(after);
  EXPECT_EQ(after->gpa, kData + 0x8000) << "the old root's answer or context was left behind";
  EXPECT_EQ(after->outcome, Outcome::kWalked);
}

// The guest switches right behind the read: what the request holds is stale when it takes its fill
// ticket, which is younger than the flush. Context and ticket must not come together.
TEST_F(Overtaken, AContextDroppedJustAfterItWasRead) {
  machine.unit->after_context = once([&] {
    machine.unit->set_context(kFunction, FakeUnit::second_stage(1, elsewhere.root()));
    flush({.scope = iotlb::Scope::kContextAll});
    flush({.scope = iotlb::Scope::kAll});
  });
  ASSERT_TRUE(ask());
  EXPECT_EQ(ask()->gpa, kData + 0x8000) << "walked from the old root into an entry";
}

// It becomes pass-through on the way to the walk: it must be taken for what it is, not walked.
TEST_F(Overtaken, AContextThatNeedsNoWalkAnyMore) {
  machine.unit->after_context = once([&] {
    iotlb::Context pass;
    pass.kind = iotlb::ContextKind::kPassThrough;
    pass.input_bits = 48;
    machine.unit->set_context(kFunction, pass);
    flush({.scope = iotlb::Scope::kContextAll});
  });
  const auto got = port->translate(Iova(kData.value()), 4, Access::kRead);
  ASSERT_TRUE(got) << to_string(got.error().reason);
  EXPECT_EQ(got->outcome, Outcome::kPassedThrough);
  EXPECT_EQ(machine.iommu->stats().walks, 0u);
  EXPECT_TRUE(machine.unit->recorded().empty());
}

// A guest that changes contexts faster than they can be read gets its answers all the same, and
// nothing is left behind.
TEST_F(Overtaken, ContextsThatChangeWithoutEnd) {
  std::uint64_t changes = 0;
  machine.unit->after_context = [&](const Request&) {
    ++changes;
    flush({.scope = iotlb::Scope::kContextAll});
  };
  const auto got = ask();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->outcome, Outcome::kWalked);
  EXPECT_LE(changes, 8u) << "bounded";
  EXPECT_EQ(machine.iommu->stats().fills, 0u);
  EXPECT_EQ(machine.iommu->stats().refused_fills, 1u);
}

// A pin whose context changed half-way rests on both domains.
TEST_F(Overtaken, APinMadeAcrossAContextChange) {
  machine.unit->before_walk = [&, pieces = 0](const Request&) mutable {
    if (++pieces != 2) return;
    machine.unit->set_context(kFunction, FakeUnit::second_stage(2, elsewhere.root()));
    machine.unit->post({.scope = iotlb::Scope::kContextAll});
  };
  auto pin = port->map(Iova(0x5000), 4 * kPageSize, Access::kWrite);
  ASSERT_TRUE(pin);
  machine.unit->before_walk = nullptr;
  const std::uint64_t old =
      machine.unit->post({.scope = iotlb::Scope::kDomain, .domain = DomainId{1}});
  EXPECT_LT(machine.unit->completed(), old) << "its first page is of domain 1 (L1)";
  pin->release();
  EXPECT_EQ(machine.unit->completed(), old);
}

// The map's own context is cached in the port and in the unit: a change reaches both.
TEST_F(Overtaken, CachedContextsGoWithTheirInvalidation) {
  ASSERT_TRUE(ask());
  machine.unit->set_context(kFunction, FakeUnit::second_stage(2, elsewhere.root()));
  EXPECT_EQ(ask()->gpa, kData) << "legal until it is flushed";
  EXPECT_EQ(machine.iommu->stats().context_reads, 1u);
  machine.unit->post({.scope = iotlb::Scope::kContextDevice,
                      .requester = Requester::from_sid(kSid ^ 7),
                      .requester_mask = 7});
  EXPECT_EQ(ask()->gpa, kData + 0x8000);
  EXPECT_EQ(machine.iommu->stats().context_reads, 2u);
}

// Under a burst that began before: it sees the change from its next request on.
TEST_F(Overtaken, ABurstDoesNotKeepItsContextBeyondTheInvalidation) {
  DmaPort::Burst burst(*port);
  EXPECT_EQ(burst.translate(Iova(0x5000), 4, Access::kRead)->gpa, kData);
  machine.unit->set_context(kFunction, FakeUnit::second_stage(2, elsewhere.root()));
  machine.unit->post({.scope = iotlb::Scope::kContextAll});
  EXPECT_EQ(burst.translate(Iova(0x5000), 4, Access::kRead)->gpa, kData + 0x8000);
}

// PASIDs of one function alternate in one burst: each has its own context.
TEST_F(Overtaken, PasidsAlternateInOneBurst) {
  DmaPort::Burst burst(*port);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(burst.translate(Iova(0x5000), 4, Access::kRead, {.pasid = Pasid{5}}));
    EXPECT_TRUE(burst.translate(Iova(0x5000), 4, Access::kRead));
  }
  EXPECT_EQ(machine.iommu->stats().context_reads, 2u);
}

}  // namespace
}  // namespace weir::testing_iommu
