// SPDX-License-Identifier: Apache-2.0
//
// Files that are no whole recording, by accident or on purpose: one line that names file and place,
// and never more memory than a recording may ask for.
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "replay/replay_loop.h"
#include "replay/trace_file.h"
#include "replay/trace_packing.h"
#include "tests/replay/recorded_sessions.h"
#include "tests/replay/trace_files.h"

namespace weir::replay {
namespace {

using Bytes = std::vector<std::uint8_t>;

[[nodiscard]] Bytes unpacked(const std::string& path) {
  Bytes all;
  auto input = PackedInput::open(path);
  EXPECT_TRUE(input);
  std::array<std::uint8_t, 4096> buffer{};
  for (;;) {
    const auto got = input->read(buffer);
    EXPECT_TRUE(got);
    if (!got || *got == 0) return all;
    all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*got));
  }
}

void pack(const std::string& path, const Bytes& bytes) {
  auto output = PackedOutput::create(path);
  ASSERT_TRUE(output);
  output->write(bytes);
  ASSERT_TRUE(output->close());
}

void expect_refused(const std::string& path, std::string_view cause) {
  const auto report = replay_trace(path, {});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().file, path);
  EXPECT_NE(report.error().cause.find(cause), std::string::npos) << report.error().to_string();
  EXPECT_EQ(report.error().to_string().find('\n'), std::string::npos);
}

class MalformedRecording : public testing::Test {
 protected:
  MalformedRecording() { (void)test::record_vtd_legacy(whole_.path(), {.steps = 120}); }

  ScratchFile whole_{""};
};

TEST_F(MalformedRecording, CutOffAnywhere) {
  const std::string bytes = contents(whole_.path());
  for (std::size_t length = 8; length < bytes.size(); length += 1 + length / 16) {
    SCOPED_TRACE(length);
    const ScratchFile cut(std::string_view(bytes).substr(0, length));
    const auto report = replay_trace(cut.path(), {});
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().file, cut.path());
  }
}

TEST_F(MalformedRecording, CutOffBetweenAnyTwoBytesOfItsRecords) {
  const Bytes bytes = unpacked(whole_.path());
  for (std::size_t length = 0; length < bytes.size(); length += 1 + length / 64) {
    SCOPED_TRACE(length);
    const ScratchFile cut("");
    pack(cut.path(), Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)));
    expect_refused(cut.path(), "cut off");
  }
}

TEST_F(MalformedRecording, SomethingBehindItsEnd) {
  Bytes bytes = unpacked(whole_.path());
  bytes.push_back(10);
  const ScratchFile longer("");
  pack(longer.path(), bytes);
  expect_refused(longer.path(), "follows the end");
  const ScratchFile trailing(contents(whole_.path()) + "x");
  expect_refused(trailing.path(), "follows the end");
}

TEST_F(MalformedRecording, OfAnotherVersion) {
  std::string bytes = contents(whole_.path());
  bytes[8] = 7;
  const ScratchFile other(bytes);
  expect_refused(other.path(), "version 7");
}

TEST_F(MalformedRecording, DamagedPacking) {
  const std::string bytes = contents(whole_.path());
  std::mt19937_64 random(3);
  for (int i = 0; i < 100; ++i) {
    std::string damaged = bytes;
    damaged[12 + random() % (damaged.size() - 12)] ^= static_cast<char>(1 + random() % 255);
    const ScratchFile file(damaged);
    const auto report = replay_trace(file.path(), {});
    ASSERT_FALSE(report);  // a checksum stands at the end
  }
}

// Whatever the records say: an error in one line, or a machine that did something else.
TEST_F(MalformedRecording, DamagedRecords) {
  const Bytes bytes = unpacked(whole_.path());
  std::mt19937_64 random(4);
  const int rounds = std::getenv("WEIR_LONG") != nullptr ? 20000 : 1500;
  int refused = 0;
  for (int i = 0; i < rounds; ++i) {
    Bytes damaged = bytes;
    for (std::uint64_t n = 1 + random() % 3; n != 0; --n) {
      const std::size_t at = random() % damaged.size();
      switch (random() % 4) {
        case 0:
          damaged[at] = static_cast<std::uint8_t>(random());
          break;
        case 1:
          damaged[at] ^= static_cast<std::uint8_t>(1U << random() % 8);
          break;
        case 2:
          damaged.erase(damaged.begin() + static_cast<std::ptrdiff_t>(at));
          break;
        default:
          damaged.insert(damaged.begin() + static_cast<std::ptrdiff_t>(at), 0xff);
          break;
      }
    }
    const ScratchFile file("");
    pack(file.path(), damaged);
    const auto report = replay_trace(file.path(), {});
    if (report) continue;
    ++refused;
    EXPECT_EQ(report.error().to_string().find('\n'), std::string::npos);
  }
  EXPECT_GT(refused, rounds / 4);
}

// What asks for more than a reader gives.
TEST(HugeRecording, IsRefused) {
  const auto written = [](auto... records) {
    auto file = std::make_unique<ScratchFile>("");
    auto writer = TraceWriter::create(file->path());
    EXPECT_TRUE(writer);
    (writer->write(records), ...);
    EXPECT_TRUE(writer->finish({}));
    return file;
  };
  constexpr std::uint64_t kTebibyte = std::uint64_t{1} << 40;
  TraceMemory wide;
  wide.pieces.push_back({{Gpa(0), Gpa(kTebibyte)}, Permissions::all(), true});
  expect_refused(written(TraceMachine{}, wide)->path(), "more than 1 TiB");
  TraceMachine cached;
  cached.caches.entries = std::size_t{1} << 40;
  expect_refused(written(cached)->path(), "the size of a cache");
  TraceMachine endless;
  endless.caches = {.organisation = CacheOptions::Organisation::kReference, .entries = 0};
  expect_refused(written(endless)->path(), "without a limit");
  TraceUnit odd{.register_base = 1, .vendor = "vtd", .options = {200}};
  TraceMemory small;
  small.pieces.push_back({{Gpa(0), Gpa(0xffff)}, Permissions::all(), true});
  expect_refused(written(TraceMachine{}, small, odd)->path(), "options");
  odd.vendor = "abacus";
  expect_refused(written(TraceMachine{}, small, odd)->path(), "vendor");
  expect_refused(written(TraceMachine{}, small, TraceTable{{std::byte{1}}})->path(), "kind");

  // Words in more pages than a machine may use.
  TraceMemory large;
  large.pieces.push_back({{Gpa(0), Gpa(kTebibyte - 1)}, Permissions::all(), true});
  TraceOperation poll;
  poll.what = TraceCall{.what = RecordedCall::What::kPoll, .data = {}};
  expect_refused(written(TraceMachine{}, poll)->path(), "before there is a machine");
  TraceOperation stranger;
  stranger.what = TracePiece{.requester = Requester::from_sid(8), .size = 8};
  expect_refused(written(TraceMachine{}, large, stranger)->path(), "not attached");
}

}  // namespace
}  // namespace weir::replay
