// SPDX-License-Identifier: Apache-2.0
//
// Transitions in a recording: a guest that turns protected, moves its windows and its groups while
// devices use them, replays to the same reach; and a transition record that was forged, cut off or
// made up is an answer that differs or one line, never more.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

#include "iommu/iommu.h"
#include "iommu/transition.h"
#include "replay/replay_loop.h"
#include "replay/trace_recorder.h"
#include "tests/replay/recorded_sessions.h"
#include "tests/replay/rewrite.h"
#include "tests/replay/trace_files.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/unit.h"

namespace weir::replay {
namespace {

using What = RecordedCall::What;
using To = Transition::GroupTurn::To;

constexpr std::uint64_t kRam = std::uint64_t{8} << 20, kBase = 0xfed90000;
constexpr std::uint64_t kPages = 64;         // that devices use
constexpr std::uint64_t kFirst = 0x400000;   // where they lie
constexpr std::uint64_t kMapped = 0x600000;  // what the tables make of them
constexpr Iova kWindowAt{0x8000'0000};
constexpr std::uint64_t kContexts = 0x2000, kTables = 0x3000;
// Two behind the unit, two that bypass, two with a window each.
constexpr std::uint16_t kGroup[] = {0x20, 0x28}, kFree[] = {0x30, 0x38}, kPooled[] = {0x40, 0x48};

[[nodiscard]] Window window(std::uint64_t page) {
  return {{kWindowAt, kWindowAt + (8 * kPageSize - 1)}, Gpa(kFirst + page * kPageSize)};
}

struct Counts {
  unsigned taken = 0, refused = 0, pending = 0, by_kind[4] = {};
};

class Guest {
 public:
  Guest(const std::string& path, std::uint64_t seed)
      : recorder_(std::move(TraceRecorder::create(path, &clock_)).value()),
        words_(std::make_unique<std::uint64_t[]>(kRam / 8)),
        memory_(std::make_shared<GuestMemory>(GuestMemory::single(
            Hpa(0), std::as_writable_bytes(std::span(words_.get(), kRam / 8))))),
        iommu_({.memory = memory_, .clock = &recorder_->clock(), .recorder = recorder_.get()}),
        random_(seed) {
    Coverage group{{{.register_base = kBase}}};
    for (const std::uint16_t sid : kGroup)
      group.units[0].scopes.push_back(
          {.start_bus = 0, .path = {{static_cast<std::uint8_t>(sid >> 3), 0}}});
    EXPECT_TRUE(iommu_.use_tables(vtd::dmar_parser(), vtd::build_dmar(group)));
    auto& unit = iommu_.add_unit<vtd::Unit>(kBase, vtd::profile::legacy());
    put(0x1000, kContexts | 1);
    turn_group(To::kIdentity);
    put(kTables, (kTables + 0x1000) | 3), put(kTables + 0x1000, (kTables + 0x2000) | 3);
    // kFirst … kFirst + 256 KiB, through an entry of 2 MiB below.
    put(kTables + 0x2000 + (kFirst >> 21) * 8, (kTables + 0x3000) | 3);
    for (std::uint64_t page = 0; page < kPages; ++page)
      put(kTables + 0x3000 + page * 8, (kMapped + page * kPageSize) | 3);
    unit.write_register(0x20, 8, 0x1000);
    unit.write_register(0x18, 4, 1U << 30);
    unit.write_register(0x18, 4, 1U << 31);
    for (std::uint32_t pool = 0; pool < 2; ++pool)
      EXPECT_TRUE(iommu_.declare_pool({pool}, window(8 * pool)));
    for (const std::uint16_t sid : kGroup) attach(sid, {});
    for (const std::uint16_t sid : kFree) attach(sid, {});
    for (std::uint32_t i = 0; i < 2; ++i) attach(kPooled[i], PoolId{i});
  }

  Stats run(int steps, Counts& counts) {
    std::vector<Pin> pins;
    for (int step = 0; step < steps; ++step) {
      if (below(12) == 0) apply(any(counts), counts);
      auto& port = *ports_[(0x20 + 8 * below(6)) & 0xffU];
      const Iova at = below(3) == 0 ? kWindowAt + below(9) * kPageSize
                                    : Iova(kFirst + below(kPages) * kPageSize + below(4000));
      switch (below(5)) {
        case 0:
          if (auto pin = port.map(at, 64, Access::kWrite)) pins.push_back(std::move(*pin));
          break;
        case 1:
          if (!pins.empty()) pins.erase(pins.begin());
          break;
        case 2:
          (void)port.fetch_add(Iova(at.value() & ~std::uint64_t{7}), 1);
          break;
        default:
          (void)port.translate(at, 8, below(2) == 0 ? Access::kRead : Access::kWrite);
      }
      if (below(16) == 0) iommu_.poll();
    }
    pins.clear();
    // What everybody reaches in the end.
    for (auto& [sid, port] : ports_)
      for (std::uint64_t page = 0; page < kPages; ++page) {
        (void)port->translate(Iova(kFirst + page * kPageSize), 8, Access::kRead);
        if (page < 9) (void)port->translate(kWindowAt + page * kPageSize, 8, Access::kWrite);
      }
    ports_.clear();
    const Stats books = iommu_.stats();
    const auto finished = recorder_->finish(books);
    EXPECT_TRUE(finished) << finished.error().to_string();
    return books;
  }

  void apply(const Transition& transition, Counts& counts) {
    const auto change = iommu_.apply(transition);
    ++(change ? counts.taken : counts.refused);
    if (change && !change->complete()) ++counts.pending;
  }

 private:
  [[nodiscard]] std::uint64_t below(std::uint64_t n) { return random_() % n; }
  void put(std::uint64_t at, std::uint64_t word) { (void)memory_->store64(Hpa(at), word); }
  void attach(std::uint16_t sid, std::optional<PoolId> pool) {
    ports_[sid] = iommu_.attach({.function = Requester::from_sid(sid)}, pool).value();
  }
  // Their context entries: pass-through, or the tables; four levels, domain 1.
  void turn_group(To to) {
    for (const std::uint16_t sid : kGroup) {
      put(kContexts + sid * 16U + 8, 0x102);
      put(kContexts + sid * 16U, to == To::kIdentity ? 9 : kTables | 1);
    }
  }

  [[nodiscard]] Transition any(Counts& counts) {
    Transition made;
    const std::uint64_t page = below(kPages);
    const AddressRange<Gpa> pages{Gpa(kFirst + page * kPageSize),
                                  Gpa(kFirst + (page + 1 + below(6)) * kPageSize - 1)};
    const auto kind = below(5);
    if (kind == 0) made.made_private.push_back(pages), ++counts.by_kind[0];
    if (kind == 1) made.made_shared.push_back({Gpa(kFirst), Gpa(kFirst + 0x3fffff)});
    if (kind == 2) {
      Transition::PoolMove move{.pool = {static_cast<std::uint32_t>(below(3))}};
      if (below(6) != 0) move.window = window(below(40));
      made.pools.push_back(move);
      ++counts.by_kind[1];
    }
    if (kind == 3) {
      made.confinements.push_back({.pool = {static_cast<std::uint32_t>(below(4))}});
      if (below(8) != 0) made.confinements.back().function = Requester::from_sid(kFree[below(2)]);
      ++counts.by_kind[2];
    }
    if (kind == 4) {
      const To to = below(2) == 0 ? To::kIdentity : To::kTables;
      // Now and then the guest has not written what it says.
      if (below(4) != 0) turn_group(to);
      made.groups.push_back(
          {.functions = {Requester::from_sid(kGroup[0]), Requester::from_sid(kGroup[1])},
           .to = to});
      ++counts.by_kind[3];
    }
    return made;
  }

  const test::TickingClock clock_;
  std::unique_ptr<TraceRecorder> recorder_;
  std::unique_ptr<std::uint64_t[]> words_;
  std::shared_ptr<GuestMemory> memory_;
  Iommu iommu_;
  std::mt19937_64 random_;
  std::map<std::uint64_t, std::unique_ptr<DmaPort>> ports_;
};

TEST(RecordedTransition, ReplaysToTheSameReach) {
  for (const std::uint64_t seed : {1U, 2U, 3U, 4U}) {
    SCOPED_TRACE(seed);
    const ScratchFile file("");
    Counts counts;
    const Stats books = std::make_unique<Guest>(file.path(), seed)->run(3000, counts);
    EXPECT_GT(counts.taken, 50U);
    EXPECT_GT(counts.refused, 5U);
    EXPECT_GT(counts.pending, 5U) << "pins that it waits for";
    for (const unsigned kind : counts.by_kind) EXPECT_GT(kind, 10U);
    EXPECT_GT(books.of(Outcome::kWindowed), 100U);
    EXPECT_GT(books.of(Outcome::kFaulted), 100U);
    EXPECT_GT(books.of(Outcome::kPassedThrough), 20U);
    EXPECT_GT(books.of(Outcome::kHit) + books.of(Outcome::kWalked), 20U);
    const auto report = replay_trace(file.path(), {});
    ASSERT_TRUE(report) << report.error().to_string();
    for (const std::string& difference : report->differences) ADD_FAILURE() << difference;
    EXPECT_TRUE(report->good());
    EXPECT_EQ(books_of(report->stats), books_of(books));
  }
}

// A guest that shares page by page what a firmware scattered: longer than other calls may be.
TEST(RecordedTransition, OfThousandsOfRangesIsWhole) {
  const ScratchFile file("");
  Transition many;
  for (std::uint64_t page = 0; page < 4000; page += 2)
    many.made_private.push_back({Gpa(0x10000 + page * kPageSize), Gpa(0x10fff + page * kPageSize)});
  ASSERT_GT(to_line(many).size(), 40'000U);
  Counts counts;
  auto guest = std::make_unique<Guest>(file.path(), 1);
  guest->apply(many, counts);
  const Stats books = guest->run(20, counts);
  const auto report = replay_trace(file.path(), {});
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_TRUE(report->good());
  EXPECT_EQ(books_of(report->stats), books_of(books));
}

class ForgedTransition : public testing::Test {
 protected:
  ForgedTransition() {
    Counts counts;
    (void)std::make_unique<Guest>(whole_.path(), 7)->run(400, counts);
    rewrite_lines([this](std::size_t, const std::string& line) {
      lines_.push_back(line);
      return line;
    });
  }

  // `change` gives the line of the n-th transition.
  void rewrite_lines(const std::function<std::string(std::size_t, const std::string&)>& change) {
    std::size_t n = 0;
    test::rewrite(whole_.path(), forged_.path(), [&](TraceRecord& record) {
      auto* const operation = std::get_if<TraceOperation>(&record);
      auto* const call = operation ? std::get_if<TraceCall>(&operation->what) : nullptr;
      if (call == nullptr || call->what != What::kTransition) return;
      const std::string before(reinterpret_cast<const char*>(call->data.data()), call->data.size());
      const std::string after = change(n++, before);
      const auto bytes = std::as_bytes(std::span(after));
      call->data.assign(bytes.begin(), bytes.end());
    });
  }
  void expect_one_line(const TraceError& error) const {
    const std::string line = error.to_string();
    EXPECT_EQ(error.file, forged_.path());
    for (const char c : line) EXPECT_TRUE(c >= ' ' && c <= '~') << line;
    EXPECT_LT(line.size(), 400U);
  }

  const ScratchFile whole_{""}, forged_{""};
  std::vector<std::string> lines_;
};

TEST_F(ForgedTransition, AnotherOneIsNoticed) {
  ASSERT_GT(lines_.size(), 10U);
  rewrite_lines([](std::size_t n, const std::string& line) {
    return n == 3 ? std::string("private 0x0-0xffffffffffffffff") : line;
  });
  const auto report = replay_trace(forged_.path(), {});
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_FALSE(report->good());
  EXPECT_GT(report->played->pieces.different, 0U);
  EXPECT_FALSE(report->differences.empty());
}

TEST_F(ForgedTransition, OfAStrangerDiffersInItsAnswer) {
  std::size_t taken = 0;
  while (lines_[taken].find("pool") == std::string::npos) ++taken;
  rewrite_lines([&](std::size_t n, const std::string& line) {
    return n == taken ? std::string("confine 0000:07:00.0 to 1") : line;
  });
  const auto report = replay_trace(forged_.path(), {});
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_GT(report->played->calls.different, 0U);
}

TEST_F(ForgedTransition, CutOffAnywhere) {
  unsigned refused = 0;
  for (std::size_t which = 0; which < lines_.size(); which += 3)
    for (std::size_t length = 0; length < lines_[which].size(); ++length) {
      rewrite_lines([&](std::size_t n, const std::string& line) {
        return n == which ? line.substr(0, length) : line;
      });
      // What is left may be a transition, and then another one.
      const auto report = replay_trace(forged_.path(), {});
      if (report) continue;
      ++refused;
      expect_one_line(report.error());
      EXPECT_NE(report.error().cause.find("a transition, at "), std::string::npos)
          << report.error().cause;
    }
  EXPECT_GT(refused, 50U);
}

TEST_F(ForgedTransition, OfAnyBytes) {
  std::mt19937 random(5);
  for (int i = 0; i < 200; ++i) {
    std::string garbage;
    for (auto length = random() % 300; length > 0; --length)
      garbage.push_back(static_cast<char>(random()));
    if (i % 2 == 0) garbage = "private 0x0-0xfff;\n" + garbage;
    if (i == 0) garbage = std::string(60'000, ';');
    rewrite_lines([&](std::size_t n, const std::string& line) { return n == 5 ? garbage : line; });
    const auto report = replay_trace(forged_.path(), {});
    if (garbage.empty()) continue;
    ASSERT_FALSE(report);
    expect_one_line(report.error());
  }
}

}  // namespace
}  // namespace weir::replay
