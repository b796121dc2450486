// SPDX-License-Identifier: Apache-2.0
//
// Caching mode without more (CAP_REG.CM, manual 6.1): the guest invalidates after making a mapping
// present as well, so a listener hears every difference, exactly once and before the wait
// completes; nothing absent is kept meanwhile.
#include <gtest/gtest.h>

#include <map>

#include "iommu/map_listener.h"
#include "tests/vtd/whole_machine.h"

namespace weir::vtd::test {
namespace {

constexpr std::uint16_t kSid = 0x10, kDid = 4;
constexpr std::uint64_t kIova = 0x40000000, kHuge = 0x200000;

// What a VFIO container would hold: IOVA to its end, address and permissions.
class Mirror final : public MapListener {
 public:
  void on_map(const Mapping& mapping) override {
    ++maps;
    EXPECT_TRUE(held.emplace(mapping.range.first.value(), mapping).second) << "mapped twice";
  }
  void on_unmap(const Mapping& mapping) override {
    ++unmaps;
    EXPECT_EQ(held.count(mapping.range.first.value()), 1U) << "never mapped";
    EXPECT_EQ(held[mapping.range.first.value()], mapping);
    held.erase(mapping.range.first.value());
  }
  void on_lost() override { lost = true; }

  std::map<std::uint64_t, Mapping> held;
  unsigned maps = 0, unmaps = 0;
  bool lost = false;
};

[[nodiscard]] Options caching(bool strict) {
  Options options;
  options.caching_mode = true;
  options.strict_absent_contexts = strict;
  return options;
}

class VtdListenerTest : public testing::TestWithParam<bool> {
 protected:
  VtdListenerTest() : machine_(caching(GetParam())) {
    machine_.put(root_ + 0, contexts_ | 1);
    machine_.put(contexts_ + kSid * 16 + 8, std::uint64_t{kDid} << 8 | 2);  // four levels
    machine_.put(contexts_ + kSid * 16, tables_ | 1);
    machine_.writeq(0x20, root_);
    machine_.command(WholeMachine::kSrtp);
    machine_.start_queue();
    machine_.flush_contexts();
    machine_.flush_iotlb();
    machine_.command(WholeMachine::kTe);
  }
  void set(std::uint64_t iova, std::uint64_t leaf) {
    machine_.put(machine_.entry_for(tables_, 4, iova, 3), leaf);
  }
  void flush(std::uint64_t iova, unsigned order = 0) { machine_.flush_pages(kDid, iova, order); }
  void listen() {
    auto made = machine_.device(kSid).listen(mirror_);
    ASSERT_TRUE(made) << made.error();
    listening_ = std::move(*made);
  }

  WholeMachine machine_;
  const std::uint64_t root_ = machine_.page(), contexts_ = machine_.page(),
                      tables_ = machine_.page(), data_ = machine_.page();
  Mirror mirror_;
  std::unique_ptr<Listening> listening_;
};

TEST_P(VtdListenerTest, HearsExactlyWhatBecomesPresentAndWhatGoes) {
  ASSERT_TRUE(machine_.has_cap(7)) << "CM";
  set(kIova, data_ | 3);
  flush(kIova);
  listen();
  ASSERT_EQ(mirror_.held.size(), 1U);
  EXPECT_EQ(mirror_.held[kIova].gpa, Gpa(data_));
  EXPECT_EQ(mirror_.held[kIova].permissions, Permissions::read_write());

  // Four pages with one command, of which one is new, one changes and two are not there.
  set(kIova + 0x1000, data_ | 1);
  set(kIova, data_ | 1);
  EXPECT_EQ(mirror_.maps, 1U) << "not before the guest says so";
  flush(kIova, 2);
  EXPECT_EQ(mirror_.maps, 3U);
  EXPECT_EQ(mirror_.unmaps, 1U);
  ASSERT_EQ(mirror_.held.size(), 2U);
  EXPECT_FALSE(mirror_.held[kIova].permissions.can_write());
  flush(kIova, 2);
  EXPECT_EQ(mirror_.maps, 3U) << "nothing has changed";

  set(kIova, 0);
  flush(kIova);
  EXPECT_EQ(mirror_.held.size(), 1U);
  EXPECT_EQ(mirror_.held.count(kIova + 0x1000), 1U);
  machine_.flush_domain(kDid + 1);
  EXPECT_EQ(mirror_.unmaps, 2U) << "another domain's";
}

TEST_P(VtdListenerTest, ATableThatBecomesALargePage) {
  listen();
  EXPECT_TRUE(mirror_.held.empty());
  set(kIova + 0x3000, data_ | 3);
  flush(kIova + 0x3000);
  EXPECT_EQ(mirror_.held.size(), 1U);
  const std::uint64_t table = machine_.entry_for(tables_, 4, kIova, 3) & ~std::uint64_t{0xfff};
  std::uint64_t level2 = tables_;
  for (int level = 0; level < 2; ++level)
    level2 = machine_.get(level2 + (level == 1 ? 1 : 0) * 8) & 0xffffffffff000;
  ASSERT_EQ(machine_.get(level2), table | 3);
  machine_.put(level2, kHuge | 0x83);  // a leaf of 2 MiB
  flush(kIova, 6);
  machine_.flush_domain(kDid);
  ASSERT_EQ(mirror_.held.size(), 1U);
  EXPECT_EQ(mirror_.held[kIova].range.last, Iova(kIova + kHuge - 1));
  EXPECT_EQ(mirror_.held[kIova].gpa, Gpa(kHuge));
  EXPECT_FALSE(mirror_.lost);
}

TEST_P(VtdListenerTest, ContextsAndTranslationOffAreDifferencesToo) {
  set(kIova, data_ | 3);
  flush(kIova);
  listen();
  machine_.put(contexts_ + kSid * 16, 0);
  machine_.flush_context(kSid, kDid);
  EXPECT_TRUE(mirror_.held.empty());
  machine_.put(contexts_ + kSid * 16, tables_ | 1);
  machine_.flush_context(kSid, GetParam() ? 0 : kDid);  // CM: not present ones count as domain 0's
  EXPECT_EQ(mirror_.held.size(), 1U);
  machine_.command(WholeMachine::kTe, false);
  ASSERT_FALSE(mirror_.held.empty());
  EXPECT_EQ(mirror_.held.begin()->second.range.first, Iova(0)) << "identity";
  EXPECT_FALSE(mirror_.lost);
}

INSTANTIATE_TEST_SUITE_P(CachingMode, VtdListenerTest, testing::Bool(),
                         [](const auto& strict) { return strict.param ? "Strict" : "Plain"; });

// What was absent is found as soon as it is there, without the flush that CM asks for.
TEST(VtdListener, PlainCachingModeKeepsNothingAbsent) {
  Options options;
  options.caching_mode = true;
  WholeMachine machine(options);
  const std::uint64_t root = machine.page(), contexts = machine.page(), tables = machine.page();
  machine.put(root, contexts | 1);
  machine.put(contexts + kSid * 16 + 8, std::uint64_t{kDid} << 8 | 2);
  machine.put(contexts + kSid * 16, tables | 1);
  machine.writeq(0x20, root);
  machine.command(WholeMachine::kSrtp);
  machine.start_queue();
  machine.command(WholeMachine::kTe);
  EXPECT_NE(machine.read_code(kSid, kIova), 0U);
  machine.put(machine.entry_for(tables, 4, kIova, 3), machine.page() | 3);
  EXPECT_EQ(machine.read_code(kSid, kIova), 0U);
}

// Without CM the guest says nothing of what it maps.
TEST(VtdListener, IsRefusedWithoutCachingMode) {
  WholeMachine machine(Options{});
  Mirror mirror;
  EXPECT_FALSE(machine.device(kSid).listen(mirror));
}

}  // namespace
}  // namespace weir::vtd::test
