// SPDX-License-Identifier: Apache-2.0
//
// Guest tables (v2) over host tables (v1), through the whole unit, against the slow oracle of
// tests/model: random tables, many requests each, and everything a device, a driver and memory can
// tell of the answer. And how many entries walks of every shape read.

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <sstream>

#include "tests/amdvi/oracle_machine.h"
#include "tests/model/steps.h"

namespace weir::amdvi::test {
namespace {

using model::Detail;

using model::Verdict;

// By the oracle's details, weir's own names (tests/compare/observed.cpp does the same for walks).
[[nodiscard]] FaultReason reason_of(const Verdict& verdict) {
  switch (verdict.detail) {
    case Detail::kNonCanonical:
      return FaultReason::kNonCanonical;
    case Detail::kUserOfSupervisor:
      return FaultReason::kNotUser;
    case Detail::kNoExecute:
      return FaultReason::kNoExecutePermission;
    case Detail::kLevelEncoding:
      return FaultReason::kLevelEncoding;
    case Detail::kSkippedBits:
      return FaultReason::kSkippedBits;
    default:
      return verdict.reason;
  }
}

// Event code and PR, PE, RZ: 48882 2.5.3, 2.5.5, with the oracle's own notes (amd_v1_model.h).
struct Shown {
  unsigned code, flags;
};
[[nodiscard]] Shown shown_for(const Verdict& verdict) {
  constexpr unsigned kPr = 0x10, kPe = 0x40, kRz = 0x80;
  switch (verdict.reason) {
    case FaultReason::kTableUnreadable:
    case FaultReason::kRootTableUnreadable:
    case FaultReason::kUpdateFailed:
      return {4, 0};
    case FaultReason::kNotPresent:
      return {2, 0};
    case FaultReason::kReservedBits:
      return {2, kPr | (verdict.detail == Detail::kLevelEncoding ? 0 : kRz)};
    case FaultReason::kBeyondInputWidth:
      return {2, kPr};
    default:
      return {2, kPr | kPe};
  }
}

[[nodiscard]] std::uint64_t asks() {
  if (const char* given = std::getenv("WEIR_COMPARE_REQUESTS"))
    return std::strtoull(given, nullptr, 0);
  return std::getenv("WEIR_LONG") != nullptr ? 1'000'000 : 10'000;
}

struct Totals {
  std::uint64_t asked = 0, ok = 0, in_guest = 0;
  std::map<std::pair<Stage, FaultReason>, std::uint64_t> faults;
};

class Comparison {
 public:
  Comparison(std::uint64_t seed, Totals& totals)
      : seed_(seed),
        random_(~seed),
        totals_(totals),
        world_(model::random_world(seed, model::FormatKind::kAmdV2, model::FormatKind::kAmdV1)) {}

  // False: the world cannot be written down in a device entry.
  [[nodiscard]] bool prepare() {
    auto& guest = std::get<model::X86FirstStage>(world_.upper);
    auto& host = std::get<model::AmdV1>(*world_.lower);
    // The unit has neither GAUpdateDis nor PMC.
    guest.set_accessed = guest.set_dirty = true;
    host.memory_class = false;
    constexpr std::uint64_t kBeyond = ~std::uint64_t{0} << 52 | 0xfff;
    if (((guest.root | host.root) & kBeyond) != 0) return false;
    attachment_.updates = host.set_dirty ? 3 : host.set_accessed ? 1 : 0;
    attachment_.may_read = !random_.chance(3);
    attachment_.may_write = !random_.chance(3);
    if (guest.sign_extended) {
      attachment_.pasid = random_.between(1, 511);
      if (random_.chance(50)) put_gcr3_into_guest(guest.root);
    }
    return true;
  }

  void run() {
    // With nothing remembered on the way, references are exact, and the copies that make up a page
    // larger than its level may differ.
    const CacheOptions caches{.entries = 64,
                              .walk = {.stage1_tables = 0, .stage2_tables = 0, .stage2_pages = 0}};
    OracleMachine machine(world_, attachment_, caches);
    for (int asked = 0; asked < 40;) {
      model::Ask ask = model::random_ask(world_, random_);
      if (ask.input >> 20 == 0xfee) continue;  // messages
      ++asked;
      ask.device_read = attachment_.may_read;
      ask.device_write = attachment_.may_write;
      machine.forget_all();
      one(machine, ask);
      if (::testing::Test::HasFailure()) return;
    }
  }

 private:
  // Into a page of the guest's tables, in a word that none of them uses.
  void put_gcr3_into_guest(std::uint64_t root) {
    constexpr std::uint64_t kPage = model::PagedImage::kPageBytes;  // the upper root's: the first
    const std::uint64_t at = kPage + attachment_.pasid * 8;
    if (*world_.image.load(at) != 0) return;
    world_.image.store(at, root | 1);
    const std::uint64_t offset = root & ~(model::bit(30) - 1);
    attachment_.gcr3_in_guest = offset + kPage;
  }

  // What the guest CR3 table's entry answers, where it lies behind the host tables.
  [[nodiscard]] Verdict expect(const model::Ask& ask) {
    if (!attachment_.gcr3_in_guest) return world_.expect(ask);
    const std::uint64_t entry = *attachment_.gcr3_in_guest + attachment_.pasid * 8;
    return expect_through(ask, entry);
  }
  [[nodiscard]] Verdict expect_through(const model::Ask& ask, std::uint64_t entry) {
    Verdict below = model::translate(*world_.lower, {.input = entry, .read = true}, world_.image,
                                     Stage::kStage2);
    if (!below.ok) return below;
    for (const model::Update& u : below.updates) world_.image.store(u.at, u.value);
    Verdict verdict;
    const auto word = world_.image.load(below.output);
    if (!word) {
      verdict.stage = Stage::kStage1;
      verdict.entry_at = below.output;
      verdict.reason = FaultReason::kTableUnreadable;
      verdict.references = below.references + 1;
    } else if ((*word & 1) == 0 || (*word & ~(model::bits(51, 12) | 1)) != 0) {
      verdict.stage = Stage::kStage1;
      verdict.entry_at = below.output;
      verdict.reason = (*word & 1) == 0 ? FaultReason::kNotPresent : FaultReason::kReservedBits;
      verdict.references = below.references + 1;
    } else {
      model::World led = world_;
      std::get<model::X86FirstStage>(led.upper).root = *word & model::bits(51, 12);
      verdict = led.expect(ask);
    }
    // Undone, and listed before what the walk itself did.
    for (const model::Update& u : below.updates) world_.image.store(u.at, u.found);
    verdict.updates.insert(verdict.updates.begin(), below.updates.begin(), below.updates.end());
    return verdict;
  }

  void one(OracleMachine& machine, const model::Ask& ask) {
    const Verdict verdict = expect(ask);
    std::ostringstream where;
    where << "world " << seed_ << ", input 0x" << std::hex << ask.input << std::dec
          << (ask.read ? " r" : "") << (ask.write ? " w" : "") << (ask.execute ? " x" : "")
          << (ask.privileged ? " privileged" : "") << ", oracle: "
          << (verdict.ok ? "ok"
                         : std::string(to_string(verdict.stage)) + " " +
                               std::string(to_string(reason_of(verdict))));
    const ::testing::ScopedTrace trace(__FILE__, __LINE__, where.str());

    const Access access = !ask.write                ? Access::kRead
                          : ask.read || ask.execute ? Access::kReadWrite
                                                    : Access::kWrite;
    DmaAttributes attributes{.privileged = ask.privileged, .execute = ask.execute};
    // PASID 0 is what a request without one is under GIoV.
    const bool plain = !ask.privileged && !ask.execute && attachment_.pasid == 0;
    if (!plain || random_.chance(50)) attributes.pasid = Pasid{attachment_.pasid};
    const std::uint64_t references = machine.stats().references;
    const auto got = machine.port().translate(Iova(ask.input), 1, access, attributes);
    ++totals_.asked;
    totals_.ok += verdict.ok;
    totals_.in_guest += attachment_.gcr3_in_guest.has_value();
    if (!verdict.ok) ++totals_.faults[{verdict.stage, reason_of(verdict)}];

    if (verdict.ok && lands_read_only(verdict.output) && ask.write) {
      EXPECT_FALSE(got);  // the embedder's memory refuses, after all tables have agreed
      EXPECT_EQ(got.error().reason, FaultReason::kHostMapPermission);
    } else if (verdict.ok) {
      expect_answer(verdict, ask, got);
      EXPECT_EQ(machine.stats().references - references, verdict.references);
      // And again, of the IOTLB for the most part.
      const auto again = machine.port().translate(Iova(ask.input), 1, access, attributes);
      EXPECT_TRUE(again && again->gpa.value() == verdict.output);
      EXPECT_TRUE(machine.events().empty());
    } else {
      expect_fault(machine, verdict, ask, got);
    }
    (void)machine.events();
    settle_memory(machine, verdict);
  }

  [[nodiscard]] bool lands_read_only(std::uint64_t output) const {
    const std::uint64_t page = output / model::PagedImage::kPageBytes;
    return page < world_.image.page_count() && !world_.image.absent(page) &&
           world_.image.read_only(page);
  }

  void expect_answer(const Verdict& verdict, const model::Ask& ask,
                     const Result<Translation, Fault>& got) {
    ASSERT_TRUE(got) << to_string(got.error().stage) << ' ' << to_string(got.error().reason);
    EXPECT_EQ(got->gpa.value(), verdict.output);
    EXPECT_EQ(got->permissions.can_read(), verdict.readable && ask.device_read);
    EXPECT_EQ(got->page_lg2, verdict.page_lg2);
    if (lands_read_only(verdict.output)) return;
    EXPECT_EQ(got->permissions.can_write(), verdict.writable && ask.device_write);
  }

  void expect_fault(OracleMachine& machine, const Verdict& verdict, const model::Ask& ask,
                    const Result<Translation, Fault>& got) {
    ASSERT_FALSE(got) << std::hex << got->gpa.value();
    const Fault& fault = got.error();
    // Of an atomic by a device that may do neither, which one is missing nobody sees.
    if (ask.device_read || ask.device_write) {
      EXPECT_EQ(fault.reason, reason_of(verdict)) << to_string(fault.reason);
    }
    const auto events = machine.events();
    ASSERT_EQ(events.size(), 1U);
    const Shown shown = shown_for(verdict);
    constexpr unsigned kJudged = 0xd0;  // PR, PE, RZ
    EXPECT_EQ(events[0].code(), shown.code);
    EXPECT_EQ(events[0].flags() & kJudged, shown.flags);
    EXPECT_EQ(events[0].device(), kDevice);
    if (verdict.detail == Detail::kDeviceRights) return;  // of no stage
    const bool guest = verdict.stage == Stage::kStage1;
    EXPECT_EQ(fault.stage, verdict.stage);
    EXPECT_EQ(fault.level, verdict.level);
    EXPECT_EQ(fault.entry_at, verdict.entry_at);
    EXPECT_EQ(fault.references, verdict.references);
    EXPECT_EQ(events[0].flags() & 1, guest ? 1U : 0U);
    EXPECT_EQ(guest ? events[0].pasid() : events[0].domain(), guest ? attachment_.pasid : 7U);
    if (guest && shown.code == 2) {
      EXPECT_EQ(events[0].high, ask.input);
    }
    if (shown.code == 4) {
      EXPECT_EQ(events[0].high, verdict.entry_at);
    }
  }

  // Memory is what the oracle makes of it, and is put back.
  void settle_memory(OracleMachine& machine, const Verdict& verdict) {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> before;
    for (const model::Update& u : verdict.updates) {
      before.emplace_back(u.at, *world_.image.load(u.at));
      world_.image.store(u.at, u.value);
    }
    const auto at = machine.differs_at(world_.image);
    EXPECT_FALSE(at) << "word at 0x" << std::hex << *at << " is 0x" << machine.word(*at)
                     << " and not 0x" << *world_.image.load(*at);
    for (auto word = before.rbegin(); word != before.rend(); ++word) {
      world_.image.store(word->first, word->second);
      machine.put(word->first, word->second);
    }
  }

  const std::uint64_t seed_;
  model::Random random_;
  Totals& totals_;
  model::World world_;
  Attachment attachment_;
};

TEST(NestedOracleTest, TheUnitAgreesWithTheOracle) {
  Totals totals;
  for (std::uint64_t seed = 1; totals.asked < asks(); ++seed) {
    Comparison comparison(seed, totals);
    if (!comparison.prepare()) continue;
    comparison.run();
    if (HasFailure()) break;
  }
  std::cout << totals.asked << " requests, " << totals.ok * 100 / totals.asked << " % succeed, "
            << totals.in_guest << " with the guest CR3 table in the guest\n";
  for (const auto& [what, count] : totals.faults)
    std::cout << "  " << to_string(what.first) << ": " << to_string(what.second) << ' ' << count
              << '\n';
  EXPECT_GE(totals.ok * 100, totals.asked * 30);
  EXPECT_GE(totals.in_guest * 100, totals.asked * 10);
}

// n entries of the guest's and m of the host's: each of the n lies behind m others, and so does
// what they lead to. Levels are missed by large leaves on either side and, on the host's, by
// directories that name a lower level than the next (48882 2.2.3, 2.2.6).
TEST(NestedOracleTest, ReferencesOfEveryShape) {
  constexpr std::uint64_t kGcr3 = 0x700000, kGuest = 0x10000, kShift = 0x1000000;
  constexpr std::uint64_t kGv = std::uint64_t{1} << 55, kInput = 0x123000;
  Machine machine(options_for(Profile::kFull),
                  {.walk = {.stage1_tables = 0, .stage2_tables = 0, .stage2_pages = 0}});
  machine.start(kUsual | kGtEn);
  machine.store(kGcr3 + 8, kGuest | 1);
  const auto expect = [&](unsigned guest_levels, unsigned guest_leaf, unsigned mode,
                          unsigned host_leaf, bool skip) {
    // Host: the tables' own GPA, all of it under 2 MiB, at kShift or where it is.
    const unsigned below = skip ? host_leaf : mode - 1;  // the level under the root
    std::uint64_t table = kRoot;
    unsigned entries = 1;
    for (unsigned level = mode; level > host_leaf; ++entries) {
      const unsigned next = level == mode ? below : level - 1;
      machine.store(table, pde(kTables + next * 0x1000, next));
      table = kTables + next * 0x1000;
      level = next;
    }
    const std::uint64_t shift = host_leaf < 3 ? kShift : 0;
    for (std::uint64_t page = 0; page < (host_leaf == 1 ? 0x200U : 1U); ++page)
      machine.store(table + page * 8, leaf(shift + page * 0x1000));
    // Guest: all of its tables' first entries, down to the leaf.
    const std::uint64_t at = kGuest + shift;
    for (unsigned level = guest_levels; level > guest_leaf; --level)
      machine.store(at + (guest_levels - level) * 0x1000,
                    (kGuest + (guest_levels - level + 1) * 0x1000) | 7);
    const std::uint64_t last = at + (guest_levels - guest_leaf) * 0x1000;
    if (guest_leaf == 1)
      machine.store(last + (kInput >> 12) * 8, kInput | 7);
    else
      machine.store(last, 0x87);
    machine.set_entry(kDevice, 3 | kRw | kGv | kRoot | mode << 9 | (kGcr3 >> 12 & 7) << 58,
                      7 | (kGcr3 >> 15 & 0xffff) << 16, std::uint64_t{guest_levels - 4} << 54);
    const DmaAttributes attributes{.pasid = Pasid{1}};
    machine.forget_all();
    // The first one sets the accessed bits, which is not what is counted here.
    ASSERT_EQ(machine.dma(kInput, Access::kRead, kDevice, attributes), kInput + shift);
    machine.forget_all();
    const std::uint64_t before = machine.iommu->stats().references;
    ASSERT_EQ(machine.dma(kInput, Access::kRead, kDevice, attributes), kInput + shift);
    const unsigned n = guest_levels - guest_leaf + 1;
    EXPECT_EQ(machine.iommu->stats().references - before, n * (entries + 1) + entries)
        << n << " x " << entries;
  };
  for (const unsigned guest_levels : {4U, 5U})
    for (const unsigned guest_leaf : {1U, 2U, 3U})
      for (unsigned mode = 1; mode <= 6; ++mode)
        for (unsigned host_leaf = 1; host_leaf <= std::min(mode, 5U); ++host_leaf)
          for (const bool skip : {false, true}) {
            if (skip && host_leaf + 1 >= mode) continue;
            expect(guest_levels, guest_leaf, mode, host_leaf, skip);
            if (HasFatalFailure()) return;
          }
}

}  // namespace
}  // namespace weir::amdvi::test
