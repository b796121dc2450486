// SPDX-License-Identifier: Apache-2.0
//
// Whole captures: what the readers give is held to counts that another program made
// (tests/data/traces/*/stats.json, copied here), and to QEMU's own hits and fills.
#include <map>
#include <set>
#include <tuple>

#include "replay/ftrace.h"
#include "replay/qemu_log.h"
#include "replay/table_dump.h"
#include "tests/replay/trace_files.h"

namespace weir::replay {
namespace {

struct Expected {
  std::string_view run;
  std::uint64_t lines, hits, fills;
  std::map<unsigned, std::uint64_t> faults;             // by reason
  std::map<std::string, std::uint64_t> descriptors;     // "type/granularity"
  std::map<std::uint64_t, std::uint64_t> page_sizes;    // translations by page size
  std::map<std::uint16_t, std::uint64_t> by_requester;  // translations by source-id
  std::uint64_t markers;
};

const std::vector<Expected>& expectations() {
  static const std::vector<Expected> all = {
      {"vtd_leg_lazy_612",
       144103,
       41826,
       17704,
       {{6, 54}, {5, 1040}},
       {{"4/0", 1}, {"4/1", 71}, {"5", 208}, {"2/2", 136}},
       {{4096, 59530}},
       {{32, 24959}, {16, 15505}, {24, 11969}, {40, 5457}, {250, 1640}},
       13},
      {"vtd_leg_cm_strict_61",
       322472,
       40637,
       17220,
       {{6, 54}, {5, 1040}},
       {{"4/0", 1}, {"4/1", 71}, {"5", 20449}, {"1/3", 10}, {"2/2", 10}, {"2/3", 20357}},
       {{4096, 57857}},
       {{32, 25293}, {16, 13437}, {24, 12339}, {40, 5471}, {250, 1317}},
       13},
      {"vtd_leg_vfio_612",
       103374,
       19097,
       3575,
       {{5, 7175}, {6, 6150}},
       {{"4/0", 1}, {"4/1", 89}, {"5", 2735}, {"1/3", 18}, {"2/2", 18}, {"2/3", 2609}},
       {{4096, 15945}, {2097152, 6234}, {1073741824, 493}},
       {{16, 22249}, {32, 272}, {24, 83}, {250, 36}, {40, 32}},
       8},
      {"vtd_pt_612",
       17716,
       827,
       437,
       {},
       {{"4/0", 1}, {"4/1", 103}, {"5", 190}, {"1/3", 2}, {"2/2", 2}, {"2/3", 82}},
       {{4096, 1264}},
       {{16, 1264}},
       8},
      {"vtd_leg_cm_vfu_612",
       77497,
       1758,
       1071,
       {{6, 27}, {5, 426}},
       {{"4/0", 1}, {"4/1", 71}, {"5", 2075}, {"1/3", 19}, {"2/2", 19}, {"2/3", 1965}},
       {{4096, 1995}, {2097152, 783}, {1073741824, 51}},
       {{64, 1486}, {16, 944}, {32, 248}, {24, 83}, {250, 36}, {40, 32}},
       8},
      {"vtd_bypass_pxb_612",
       23797,
       6715,
       3023,
       {},
       {{"2/2", 39}, {"5", 39}},
       {{4096, 9738}},
       {{16, 3437}, {32, 2411}, {24, 2008}, {40, 1846}, {250, 36}},
       7},
  };
  return all;
}

std::string host_log(std::string_view run) {
  return capture(std::string(run) + "/host-qemu.log.xz");
}

TEST(Captures, QemuLogsHoldWhatTheyAreKnownToHold) {
  for (const Expected& expected : expectations()) {
    SCOPED_TRACE(expected.run);
    const auto drained = drain<QemuLogReader>(host_log(expected.run));
    ASSERT_FALSE(drained.error) << text_of(drained.error);
    Expected got{expected.run, expected.lines, 0, 0, {}, {}, {}, {}, 0};
    std::uint64_t last_line = 0;
    for (const QemuEvent& event : drained.events) {
      EXPECT_NE(event.time_us, 0u);
      if (const auto* access = std::get_if<LoggedAccess>(&event.what)) {
        got.hits += access->outcome == AccessOutcome::kHit;
        got.fills += access->outcome == AccessOutcome::kFill;
        if (access->outcome == AccessOutcome::kHit || access->outcome == AccessOutcome::kFill) {
          ++got.page_sizes[access->page_mask + 1];
          ++got.by_requester[access->requester.bdf];
          // The leaf's own address and permissions (VT-d 9.8): R or W, and where it points.
          EXPECT_NE(access->leaf_entry & 3, 0u);
          EXPECT_EQ(access->leaf_entry & 0xffffffffff000 & ~access->page_mask,
                    access->gpa.value() & ~access->page_mask);
        }
      } else if (const auto* fault = std::get_if<LoggedFault>(&event.what)) {
        ++got.faults[fault->reason];
        EXPECT_EQ(fault->write, fault->reason == 5);
      } else if (const auto* descriptor = std::get_if<InvalidationDescriptor>(&event.what)) {
        std::string key = std::to_string(descriptor->type());
        if (descriptor->type() == 4) {
          key += '/' + std::to_string(descriptor->words[0] >> 4 & 1);
        } else if (descriptor->type() != 5) {
          key += '/' + std::to_string(descriptor->words[0] >> 4 & 3);
        }
        ++got.descriptors[key];
      } else if (std::holds_alternative<Marker>(event.what)) {
        ++got.markers;
      }
      last_line = std::max(last_line, event.line);
    }
    EXPECT_LE(last_line, expected.lines);
    EXPECT_EQ(got.hits, expected.hits);
    EXPECT_EQ(got.fills, expected.fills);
    EXPECT_EQ(got.faults, expected.faults);
    EXPECT_EQ(got.descriptors, expected.descriptors);
    EXPECT_EQ(got.page_sizes, expected.page_sizes);
    EXPECT_EQ(got.by_requester, expected.by_requester);
    EXPECT_EQ(got.markers, expected.markers);
  }
}

TEST(Captures, EveryLineOfALogIsAccountedFor) {
  for (const Expected& expected : expectations()) {
    auto reader = QemuLogReader::open(host_log(expected.run));
    ASSERT_TRUE(reader.ok());
    for (;;) {
      const auto event = reader->next();
      ASSERT_TRUE(event.ok()) << event.error().to_string();
      if (!*event) {
        break;
      }
    }
    const QemuLogCounts& counts = reader->counts();
    EXPECT_EQ(counts.lines, expected.lines) << expected.run;
    EXPECT_EQ(counts.events + counts.paired + counts.skipped + counts.messages, counts.lines);
    EXPECT_EQ(counts.messages, 0u);
  }
}

// QEMU's IOTLB as its log describes it: keyed by domain, page and size, 1024 entries, emptied when
// full, and cleared as the descriptors say.
class QemuIotlb {
 public:
  bool access(const LoggedAccess& a) {
    return !entries_.emplace(a.domain.value, a.iova.value() & ~a.page_mask, a.page_mask).second;
  }
  void clear() { entries_.clear(); }
  void flush(const InvalidationDescriptor& d) {
    const std::uint64_t domain = d.words[0] >> 16 & 0xffff;
    const std::uint64_t granularity = d.words[0] >> 4 & 3;
    if (d.type() != 2) {
      return;
    }
    const std::uint64_t size = std::uint64_t{0x1000} << (d.words[1] & 0x3f);
    const std::uint64_t first = (d.words[1] & ~std::uint64_t{0xfff}) & ~(size - 1);
    std::erase_if(entries_, [&](const Entry& entry) {
      const auto& [entry_domain, base, mask] = entry;
      const bool overlaps = base <= first + (size - 1) && first <= base + mask;
      return granularity == 1 || (entry_domain == domain && (granularity == 2 || overlaps));
    });
  }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  using Entry = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>;
  std::set<Entry> entries_;
};

TEST(Captures, DescriptorsAndAccessesExplainEveryHitAndFillOfQemu) {
  for (const Expected& expected : expectations()) {
    SCOPED_TRACE(expected.run);
    const auto drained = drain<QemuLogReader>(host_log(expected.run));
    QemuIotlb iotlb;
    std::uint64_t disagreements = 0;
    for (const QemuEvent& event : drained.events) {
      if (const auto* access = std::get_if<LoggedAccess>(&event.what)) {
        if (access->outcome == AccessOutcome::kHit || access->outcome == AccessOutcome::kFill) {
          disagreements += iotlb.access(*access) != (access->outcome == AccessOutcome::kHit);
        }
      } else if (const auto* descriptor = std::get_if<InvalidationDescriptor>(&event.what)) {
        iotlb.flush(*descriptor);
      } else if (std::holds_alternative<IotlbReset>(event.what)) {
        EXPECT_EQ(iotlb.size(), 1024u);
        iotlb.clear();
      }
    }
    EXPECT_EQ(disagreements, 0u);
  }
}

TEST(Captures, PassThroughSwitchesAddressSpaces) {
  const auto drained = drain<QemuLogReader>(host_log("vtd_pt_612"));
  ASSERT_FALSE(drained.error) << text_of(drained.error);
  std::vector<const QemuEvent*> passed;
  for (std::size_t i = 0; i < drained.events.size(); ++i) {
    const auto* access = std::get_if<LoggedAccess>(&drained.events[i].what);
    if (access == nullptr || access->outcome != AccessOutcome::kPassThrough) {
      continue;
    }
    passed.push_back(&drained.events[i]);
    EXPECT_EQ(access->iova, Iova(0x7bfe000));
    EXPECT_EQ(access->gpa, Gpa(0x7bfe000));
    const auto& change = std::get<AddressSpaceSwitch>(drained.events.at(i + 1).what);
    EXPECT_EQ(change.requester, access->requester);
    EXPECT_FALSE(change.translated);
  }
  ASSERT_EQ(passed.size(), 1u);
  EXPECT_EQ(passed[0]->line, 11549u);
}

TEST(Captures, ScalableModeIsReadAsItIs) {
  const auto drained = drain<QemuLogReader>(capture("samples/vtd_sm_fs_lazy_612.host.log"));
  ASSERT_FALSE(drained.error) << text_of(drained.error);
  std::size_t by_pasid = 0;
  for (const QemuEvent& event : drained.events) {
    const auto* descriptor = std::get_if<InvalidationDescriptor>(&event.what);
    by_pasid += descriptor != nullptr && descriptor->type() == 6;
  }
  EXPECT_EQ(by_pasid, 2u);
}

TEST(Captures, GuestFtraceHoldsWhatItIsKnownToHold) {
  const std::string path = capture("vtd_leg_cm_vfu_612/guest-ftrace.txt.xz");
  const auto drained = drain<FtraceReader>(path);
  ASSERT_FALSE(drained.error) << text_of(drained.error);
  std::map<std::size_t, std::uint64_t> got;
  std::uint64_t flushes_after_map = 0;
  std::uint64_t from_vfu_device = 0;
  std::map<unsigned, std::uint64_t> descriptor_types;
  for (const FtraceEvent& event : drained.events) {
    ++got[event.what.index()];
    if (const auto* flush = std::get_if<CacheTagFlush>(&event.what)) {
      flushes_after_map += flush->after_map;
    } else if (const auto* descriptor = std::get_if<InvalidationDescriptor>(&event.what)) {
      ++descriptor_types[descriptor->type()];
    } else if (const auto* attach = std::get_if<DeviceAttached>(&event.what)) {
      from_vfu_device += attach->requester == Requester::from_sid(0x40);
    }
  }
  const std::map<std::size_t, std::uint64_t> expected = {
      {FtraceEventBody(GuestMap{}).index(), 1751},
      {FtraceEventBody(GuestUnmap{}).index(), 942},
      {FtraceEventBody(InvalidationDescriptor{}).index(), 1809},
      {FtraceEventBody(CacheTagFlush{}).index(), 1468 + 242},
      {FtraceEventBody(CacheTagAssigned{}).index(), 15},
      {FtraceEventBody(DmaMap{}).index(), 617},
      {FtraceEventBody(DmaUnmap{}).index(), 108},
      {FtraceEventBody(DmaMapSg{}).index(), 37},
      {FtraceEventBody(DmaUnmapSg{}).index(), 37},
      {FtraceEventBody(DmaAlloc{}).index(), 19},
      {FtraceEventBody(DeviceAttached{}).index(), 19},
      {FtraceEventBody(Marker{}).index(), 8},
  };
  EXPECT_EQ(got, expected);
  EXPECT_EQ(flushes_after_map, 1468u);
  EXPECT_GT(from_vfu_device, 0u);
  const std::map<unsigned, std::uint64_t> types = {{4, 61}, {1, 19}, {2, 1729}};
  EXPECT_EQ(descriptor_types, types);
}

TEST(Captures, TableDumpsAndTheirLeaves) {
  const struct {
    std::string run;
    std::size_t pages, leaves;
  } cases[] = {{"vtd_leg_lazy_612", 42, 13394},
               {"vtd_leg_vfio_612", 89, 14592},
               {"vtd_bypass_pxb_612", 38, 13331}};
  for (const auto& c : cases) {
    const auto pages = read_tables(capture(c.run + "/tables.bin.xz"));
    ASSERT_TRUE(pages.ok()) << pages.error().to_string();
    EXPECT_EQ(pages->size(), c.pages) << c.run;
    const auto leaves = read_walk(capture(c.run + "/walk.tsv.xz"));
    ASSERT_TRUE(leaves.ok()) << leaves.error().to_string();
    EXPECT_EQ(leaves->size(), c.leaves) << c.run;
  }
}

}  // namespace
}  // namespace weir::replay
