// SPDX-License-Identifier: Apache-2.0
#include "replay/stale_check.h"

#include <gtest/gtest.h>

namespace weir::replay {
namespace {

constexpr Iova kPage{0x1000};
constexpr DomainId kDomain{3};
using Kind = StaleCheck::View::Kind;

class StaleCheckTest : public testing::Test {
 protected:
  StaleCheckTest() {
    check.set_view(source, {.kind = Kind::kTranslated, .domain = kDomain, .tree = &tree});
    put(0x5000);
  }
  void put(std::uint64_t gpa, Permissions permissions = Permissions::read_write()) {
    for (const MappedLeaf& gone :
         tree.leaves.put({.iova = kPage, .gpa = Gpa(gpa), .permissions = permissions}))
      check.leaf_gone(kDomain, gone);
  }
  Freshness judge(std::uint64_t gpa, Access access = Access::kRead) {
    return check.judge(source, {.iova = kPage + 8, .gpa = Gpa(gpa + 8), .access = access});
  }
  static Flush page_flush(Iova at, DomainId domain = kDomain) {
    return {.reach = Flush::Reach::kSelective, .domain = domain, .range = {at, at + 0xfff}};
  }

  StaleCheck check;
  StaleCheck::Tree tree;
  StaleCheck::Source& source = check.source(Requester::from_sid(0x10));
};

TEST_F(StaleCheckTest, CurrentLegalStaleStale) {
  EXPECT_EQ(judge(0x5000), Freshness::kCurrent);
  EXPECT_EQ(judge(0x6000), Freshness::kStale);
  put(0x6000);
  EXPECT_EQ(judge(0x6000), Freshness::kCurrent);
  EXPECT_EQ(judge(0x5000), Freshness::kLegalStale);
  check.posted(page_flush(kPage));
  EXPECT_EQ(judge(0x5000), Freshness::kLegalStale);
  check.completed();
  EXPECT_EQ(judge(0x5000), Freshness::kStale);
}

TEST_F(StaleCheckTest, WindowsAreCountedInLinesOfTheTrace) {
  const auto changed_at = [&](std::uint64_t gpa) {
    return check.changed_at(source, {.iova = kPage + 8, .gpa = Gpa(gpa + 8)});
  };
  check.at(10);
  put(0x6000);
  check.at(20);
  put(0x7000);
  EXPECT_EQ(changed_at(0x5000), 10u);
  EXPECT_EQ(changed_at(0x6000), 20u);
  check.at(50);
  check.posted(page_flush(kPage + 0x1000));
  check.completed();
  EXPECT_EQ(check.windows().count, 0u) << "another page";
  check.posted(page_flush(kPage));
  check.at(60);
  check.completed();
  EXPECT_EQ(check.windows().count, 2u);
  EXPECT_EQ(check.windows().lines, 50u + 40u);
  EXPECT_EQ(check.windows().longest, 50u);
}

TEST_F(StaleCheckTest, AFlushCoversOnlyWhatChangedBeforeIt) {
  check.posted({.reach = Flush::Reach::kAll});
  put(0x6000);
  check.completed();
  EXPECT_EQ(judge(0x5000), Freshness::kLegalStale);
  check.completed();  // nothing posted: nothing covered
  EXPECT_EQ(judge(0x5000), Freshness::kLegalStale);
}

TEST_F(StaleCheckTest, AFlushCoversOnlyItsPagesAndItsDomain) {
  put(0x6000);
  for (const Flush& other : {page_flush(kPage + 0x1000), page_flush(kPage, DomainId{4}),
                             Flush{.of = Flush::Of::kContexts, .reach = Flush::Reach::kAll}}) {
    check.posted(other);
    check.completed();
    EXPECT_EQ(judge(0x5000), Freshness::kLegalStale);
  }
  check.posted({.reach = Flush::Reach::kDomain, .domain = kDomain});
  check.completed();
  EXPECT_EQ(judge(0x5000), Freshness::kStale);
}

TEST_F(StaleCheckTest, APermissionThatWentIsAChange) {
  put(0x5000, Permissions::read_only());
  EXPECT_EQ(judge(0x5000), Freshness::kCurrent);
  EXPECT_EQ(judge(0x5000, Access::kWrite), Freshness::kLegalStale);
  check.posted(page_flush(kPage));
  check.completed();
  EXPECT_EQ(judge(0x5000, Access::kWrite), Freshness::kStale);
}

TEST_F(StaleCheckTest, AnotherTreeOrPassThrough) {
  StaleCheck::Tree other;
  check.set_view(source, {.kind = Kind::kTranslated, .domain = kDomain, .tree = &other});
  EXPECT_EQ(judge(0x5000), Freshness::kLegalStale);
  // The context alone is not enough: entries are tagged with the domain.
  check.posted({.of = Flush::Of::kContexts,
                .reach = Flush::Reach::kSelective,
                .requester = Requester::from_sid(0x10)});
  check.completed();
  EXPECT_EQ(judge(0x5000), Freshness::kLegalStale);
  check.posted({.reach = Flush::Reach::kDomain, .domain = kDomain});
  check.completed();
  EXPECT_EQ(judge(0x5000), Freshness::kStale);

  check.set_view(source, {.kind = Kind::kPassThrough, .domain = DomainId{1}});
  EXPECT_EQ(judge(0x1000), Freshness::kCurrent);
  check.set_view(source, {});
  EXPECT_EQ(judge(0x1000), Freshness::kLegalStale);
  check.posted({.of = Flush::Of::kContexts,
                .reach = Flush::Reach::kSelective,
                .requester = Requester::from_sid(0x17),
                .requester_mask = 7});
  check.completed();
  EXPECT_EQ(judge(0x1000), Freshness::kStale);
}

TEST(LeafMap, SizesExcludeOneAnother) {
  LeafMap map;
  const MappedLeaf small{
      .iova = Iova(0x40005000), .gpa = Gpa(0x1000), .permissions = Permissions::read_write()};
  const MappedLeaf medium{.iova = Iova(0x40000000),
                          .page_lg2 = kPage2mLg2,
                          .gpa = Gpa(0x200000),
                          .permissions = Permissions::read_only()};
  const MappedLeaf large{.iova = Iova(0x40000000),
                         .page_lg2 = kPage1gLg2,
                         .gpa = Gpa(0x80000000),
                         .permissions = Permissions::write_only()};
  EXPECT_TRUE(map.put(small).empty());
  EXPECT_TRUE(map.put(small).empty());
  EXPECT_EQ(map.put(medium), std::vector{small});
  EXPECT_EQ(map.find(small.iova), medium);
  EXPECT_EQ(map.put(large), std::vector{medium});
  EXPECT_TRUE(map.put(large).empty());
  EXPECT_EQ(map.find(Iova(0x7fffffff)), large);
  EXPECT_EQ(map.put(small), std::vector{large});
  EXPECT_EQ(map.find(Iova(0x40006000)), std::nullopt);
  EXPECT_EQ(map.take(Iova(0x40005fff)), small);
  EXPECT_EQ(map.take(Iova(0x40005fff)), std::nullopt);
}

TEST(Flush, DescriptorsAndRegistersMeanTheSame) {
  InvalidationDescriptor page;
  page.words = {0x70032, 0x40000042};  // domain 7, AM 2, IH
  const auto flush = flush_of(page);
  ASSERT_TRUE(flush.has_value());
  EXPECT_EQ(flush->reach, Flush::Reach::kSelective);
  EXPECT_EQ(flush->domain, DomainId{7});
  EXPECT_EQ(flush->range, (AddressRange{Iova(0x40000000), Iova(0x40003fff)}));
  const auto same = flush_of_iotlb_command(0xb000000700000000, 0x40001042);
  ASSERT_TRUE(same.has_value());
  EXPECT_EQ(same->range, flush->range);
  EXPECT_EQ(flush_of_iotlb_command(0x3000000700000000, 0), std::nullopt);

  InvalidationDescriptor device;
  device.words = {0x0002001000000031, 0};  // FM 2: two function bits
  const auto context = flush_of(device);
  ASSERT_TRUE(context.has_value());
  EXPECT_EQ(context->of, Flush::Of::kContexts);
  EXPECT_EQ(context->requester, Requester::from_sid(0x10));
  EXPECT_EQ(context->requester_mask, 6);
  InvalidationDescriptor whole;
  whole.words = {0x32, 63};
  EXPECT_EQ(flush_of(whole)->range, whole_space<Iova>());
  InvalidationDescriptor nothing;
  nothing.words = {0x02, 0};
  EXPECT_EQ(flush_of(nothing), std::nullopt);
}

}  // namespace
}  // namespace weir::replay
