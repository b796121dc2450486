// SPDX-License-Identifier: Apache-2.0
//
// What was recorded of a machine replays to the same translations, faults and books; what was not
// recorded so does not.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "replay/replay_loop.h"
#include "replay/trace_file.h"
#include "replay/trace_recorder.h"
#include "tests/replay/recorded_sessions.h"
#include "tests/replay/rewrite.h"
#include "tests/replay/trace_files.h"

namespace weir::replay {
namespace {

using test::rewrite;
using test::Session;

[[nodiscard]] Report replayed(const std::string& path) {
  auto report = replay_trace(path, {});
  EXPECT_TRUE(report) << (report ? "" : report.error().to_string());
  return report ? std::move(*report) : Report{};
}

void expect_same(const Report& report, const Stats& books) {
  for (const std::string& difference : report.differences) ADD_FAILURE() << difference;
  ASSERT_TRUE(report.played);
  EXPECT_TRUE(report.good());
  EXPECT_EQ(books_of(report.stats), books_of(books));
  EXPECT_EQ(report.stats.wait_time, books.wait_time);
  EXPECT_NE(report.played->pieces.count, 0U);
  EXPECT_NE(report.played->calls.count, 0U);
  EXPECT_NE(report.played->memory.count, 0U);
}

struct Front {
  const char* name;
  std::function<Stats(const std::string&, const Session&)> record;
};
void PrintTo(const Front& front, std::ostream* out) { *out << front.name; }

class Recording : public testing::TestWithParam<Front> {};

TEST_P(Recording, ReplaysToTheSame) {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    SCOPED_TRACE(seed);
    const ScratchFile file("");
    const Stats books = GetParam().record(file.path(), {.seed = seed, .steps = 4000});
    // The session met everything that there is to meet.
    EXPECT_GT(books.of(Outcome::kHit), 100U);
    EXPECT_GT(books.of(Outcome::kWalked), 100U);
    EXPECT_GT(books.of(Outcome::kFaulted), 100U);
    EXPECT_GT(books.of(Outcome::kInterrupt), 10U);
    expect_same(replayed(file.path()), books);
  }
}

INSTANTIATE_TEST_SUITE_P(FrontEnds, Recording,
                         testing::Values(Front{"vtd_legacy", test::record_vtd_legacy},
                                         Front{"vtd_first_stage", test::record_vtd_first_stage},
                                         Front{"amdvi", test::record_amdvi},
                                         Front{"virtio_iommu", test::record_virtio}),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(RecordingOf, PinsThatHoldAFlushUpParkIt) {
  const ScratchFile file("");
  const Stats books = test::record_vtd_legacy(file.path(), {.seed = 5, .steps = 4000});
  EXPECT_NE(books.waits_parked, 0U);
  EXPECT_NE(books.wait_time.count(), 0);
  expect_same(replayed(file.path()), books);
}

TEST(RecordingOf, DeviceTlbsThatAnswerAreLateOrStaySilent) {
  const ScratchFile file("");
  const Stats books = test::record_device_tlb(file.path());
  expect_same(replayed(file.path()), books);
}

TEST(RecordingOf, RecordsComeThroughTheFileUnchanged) {
  const ScratchFile file(""), copy("");
  const Stats books = test::record_vtd_legacy(file.path(), {.steps = 300});
  rewrite(file.path(), copy.path(), [](TraceRecord&) {});
  EXPECT_EQ(contents(file.path()).size(), contents(copy.path()).size());
  expect_same(replayed(copy.path()), books);
}

// Numbers take one to ten bytes, and a reader takes eight at once where it can: each length at each
// place, also where what has been read so far ends.
TEST(RecordingOf, NumbersOfEveryLengthComeThroughAnywhere) {
  const ScratchFile file("");
  constexpr unsigned kPieces = 1 << 16;  // more than a reader's memory, several times
  const auto piece = [](unsigned i) {
    const std::uint64_t bit = std::uint64_t{1} << i * 37 % 64;
    return TracePiece{.requester = Requester::from_sid(0x10),
                      .iova = Iova(i % 3 == 0 ? bit - 1 : bit),
                      .size = ~bit >> i % 64,
                      .gpa = Gpa(~bit * i),
                      .length = bit | (bit - 1),
                      .page_lg2 = static_cast<std::uint8_t>(i % 64)};
  };
  {
    auto writer = TraceWriter::create(file.path());
    ASSERT_TRUE(writer);
    TraceOperation operation;
    for (unsigned i = 0; i < kPieces; ++i) {
      operation.what = piece(i);
      writer->write(operation);
    }
    ASSERT_TRUE(writer->finish({}));
  }
  auto reader = TraceReader::open(file.path());
  ASSERT_TRUE(reader);
  TraceRecord record;
  for (unsigned i = 0; i < kPieces; ++i) {
    const auto more = reader->next(record);
    ASSERT_TRUE(more) << more.error().to_string();
    const auto* operation = std::get_if<TraceOperation>(&record);
    ASSERT_NE(operation, nullptr);
    ASSERT_EQ(std::get<TracePiece>(operation->what), piece(i)) << i;
  }
}

// One change somewhere, and what has to notice it.
struct Forgery {
  const char* name;
  std::function<bool(TraceOperation&)> change;  // false: not here
  std::function<std::uint64_t(const PlayedBack&)> differences;
};

[[nodiscard]] TracePiece* piece_in(TraceOperation& operation, bool faulted) {
  auto* piece = std::get_if<TracePiece>(&operation.what);
  return piece != nullptr && !piece->refused && (piece->outcome == Outcome::kFaulted) == faulted &&
                 piece->outcome != Outcome::kInterrupt
             ? piece
             : nullptr;
}

TEST(RecordingOf, WhatDiffersIsSaid) {
  const std::vector<Forgery> forgeries{
      {"an address",
       [](TraceOperation& o) {
         TracePiece* piece = piece_in(o, false);
         if (piece != nullptr) piece->gpa = piece->gpa + 8;
         return piece != nullptr;
       },
       [](const PlayedBack& p) { return p.pieces.different; }},
      {"a hit",
       [](TraceOperation& o) {
         TracePiece* piece = piece_in(o, false);
         if (piece == nullptr || piece->outcome != Outcome::kHit) return false;
         piece->outcome = Outcome::kWalked;
         return true;
       },
       [](const PlayedBack& p) { return p.hits.different; }},
      {"a fault",
       [](TraceOperation& o) {
         TracePiece* piece = piece_in(o, true);
         if (piece != nullptr) piece->code ^= 1;
         return piece != nullptr;
       },
       [](const PlayedBack& p) { return p.pieces.different; }},
      {"a table word",
       [](TraceOperation& o) {
         if (piece_in(o, false) == nullptr || o.seen.empty()) return false;
         o.seen.back().bytes[1] ^= std::byte{0x10};
         return true;
       },
       [](const PlayedBack& p) { return p.pieces.different; }},
      {"an invalidation",
       [](TraceOperation& o) {
         if (o.events.empty() || o.events[0].kind != TraceEvent::Kind::kInvalidation) return false;
         o.events[0].numbers[9] += 1;
         return true;
       },
       [](const PlayedBack& p) { return p.events.different; }},
      {"what was written",
       [](TraceOperation& o) {
         if (o.written == 0) return false;
         o.written ^= 1;
         return true;
       },
       [](const PlayedBack& p) { return p.memory.different; }},
  };
  const ScratchFile file("");
  (void)test::record_vtd_legacy(file.path(), {.steps = 600});
  for (const Forgery& forgery : forgeries) {
    SCOPED_TRACE(forgery.name);
    const ScratchFile forged("");
    int left = 20;  // not one of the first
    rewrite(file.path(), forged.path(), [&](TraceRecord& record) {
      auto* operation = std::get_if<TraceOperation>(&record);
      if (operation == nullptr || left == 0) return;
      TraceOperation trial = *operation;
      if (!forgery.change(trial) || --left != 0) return;
      *operation = trial;
    });
    ASSERT_EQ(left, 0);
    const Report report = replayed(forged.path());
    ASSERT_TRUE(report.played);
    EXPECT_FALSE(report.good());
    EXPECT_NE(forgery.differences(*report.played), 0U);
    EXPECT_FALSE(report.differences.empty());
  }
}

TEST(RecordingOf, BooksThatDifferAreSaid) {
  const ScratchFile file(""), forged("");
  (void)test::record_amdvi(file.path(), {.steps = 200});
  rewrite(file.path(), forged.path(), [](TraceRecord& record) {
    if (auto* end = std::get_if<TraceEnd>(&record)) end->books["hit"] += 1;
  });
  const Report report = replayed(forged.path());
  ASSERT_TRUE(report.played);
  EXPECT_EQ(report.played->books.different, 1U);
  EXPECT_FALSE(report.good());
}

// Files of tests/data/recordings, made by this test of an earlier weir with WEIR_RECORD_INTO set to
// a folder: what version 1 looks like must not change, and what it says must be understood. Caches
// may have become others since.
TEST(RecordingOf, FilesOfVersion1AreStillUnderstood) {
  const std::map<std::string, std::function<Stats(const std::string&, const Session&)>> sessions{
      {"vtd_legacy", test::record_vtd_legacy},
      {"vtd_first_stage", test::record_vtd_first_stage},
      {"amdvi", test::record_amdvi},
      {"virtio_iommu", test::record_virtio}};
  for (const auto& [name, record] : sessions) {
    SCOPED_TRACE(name);
    if (const char* folder = std::getenv("WEIR_RECORD_INTO"))
      (void)record(std::string(folder) + "/" + name + ".weir", {.seed = 9, .steps = 150});
    const Report report = replayed(std::string(WEIR_TEST_DATA) + "/recordings/" + name + ".weir");
    ASSERT_TRUE(report.played);
    EXPECT_TRUE(report.played->same_answers());
    EXPECT_GT(report.played->pieces.count, 100U);
    EXPECT_GT(report.played->calls.count, 50U);
  }
}

TEST(RecordingOf, WithoutAnEndItIsNotWhole) {
  const ScratchFile file("");
  {
    auto recorder = TraceRecorder::create(file.path());
    ASSERT_TRUE(recorder);
    std::array<std::uint64_t, 512> words{};
    Iommu iommu({.memory = std::make_shared<GuestMemory>(
                     GuestMemory::single(Hpa(0), std::as_writable_bytes(std::span(words)))),
                 .recorder = recorder->get()});
    iommu.poll();
    (*recorder)->flush();
  }
  const auto report = replay_trace(file.path(), {});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().file, file.path());
  EXPECT_NE(report.error().cause.find("cut off"), std::string::npos) << report.error().cause;
}

}  // namespace
}  // namespace weir::replay
