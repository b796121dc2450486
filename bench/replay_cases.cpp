// SPDX-License-Identifier: Apache-2.0
#include "bench/replay_cases.h"

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>

#include "iommu/iommu.h"
#include "pagetables/table_builder.h"
#include "pagetables/vtd_second_stage.h"
#include "replay/replay_loop.h"
#include "replay/strict_rings.h"
#include "replay/trace_recorder.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/unit.h"

namespace weir::bench {
namespace {

using benchmark::State;
using replay::StrictRings;

// ---- Rings

void count_references(State& state, StrictRings::Hint hint, WalkBooks& books) {
  constexpr std::uint64_t kRounds = 500;
  for (auto _ : state) {
    auto rings = StrictRings::create(hint);
    // Until every ring and every list of freed addresses is in its stride.
    auto done = rings ? (*rings)->run(kRounds) : Result<Done, std::string>(Failure{rings.error()});
    if (!done) return state.SkipWithError(done.error().c_str());
    const Stats before = (*rings)->stats();
    done = (*rings)->run(kRounds);
    if (!done) return state.SkipWithError(done.error().c_str());
    const Stats after = (*rings)->stats();
    // Relaxed: sums.
    books.walks.fetch_add(after.walks - before.walks, std::memory_order_relaxed);
    books.references.fetch_add(after.references - before.references, std::memory_order_relaxed);
  }
}

// ---- A recording

constexpr std::uint64_t kRegisters = 0xfed90000;
constexpr std::uint64_t kRam = std::uint64_t{1} << 30;
constexpr std::uint64_t kPages = 4096;
constexpr std::uint64_t kRequests = std::uint64_t{1} << 21;
constexpr std::uint64_t kBetweenFlushes = 1000;

// A machine whose device reads at random from 4096 pages, one of which is flushed, and a wait
// posted, every thousand requests.
void record(const std::string& path) {
  const auto expect = [](bool good) {
    if (!good) throw std::runtime_error("a machine to record cannot be made");
  };
  auto recorder = replay::TraceRecorder::create(path);
  expect(recorder.ok());
  // Reserved, and used where tables are.
  const std::unique_ptr<std::byte, decltype(&std::free)> bytes(
      static_cast<std::byte*>(std::aligned_alloc(kPageSize, kRam)), &std::free);
  const auto memory = std::make_shared<GuestMemory>(GuestMemory::single(Hpa(0), {bytes.get(), kRam}));
  const pagetables::PhysicalMemory physical(memory);
  Iommu iommu({.memory = memory, .caches = {.entries = 8192}, .recorder = recorder->get()});
  const Coverage everything{{{.register_base = kRegisters, .rest_of_segment = true}}};
  expect(iommu.use_tables(vtd::dmar_parser(), vtd::build_dmar(everything)).ok());
  vtd::Unit& unit = iommu.add_unit<vtd::Unit>(kRegisters, vtd::Options{});
  std::uint64_t next = kPageSize;
  const auto page = [&]() -> std::optional<Gpa> {
    std::memset(bytes.get() + next, 0, kPageSize);
    return Gpa(std::exchange(next, next + kPageSize));
  };
  const auto put = [&](Gpa at, std::uint64_t word) { expect(physical.store64(at, word).ok()); };
  const Gpa root = *page(), contexts = *page(), queue = *page(), status = *page();
  pagetables::TableBuilder<pagetables::VtdSecondStage> tables(
      physical, pagetables::VtdSecondStage::rules({}), *page(), 4, page);
  expect(tables.map(0, kPages << kPageLg2, Gpa(kRam / 2), Permissions::read_write(), kPageLg2).ok());
  constexpr std::uint16_t kSid = 0x20;
  put(root, contexts.value() | 1);
  put(contexts + kSid * 16 + 8, 0x102);
  put(contexts + kSid * 16, tables.root().value() | 1);
  unit.write_register(0x88, 4, 0);
  unit.write_register(0x90, 8, queue.value());
  unit.write_register(0x18, 4, 1U << 26);
  unit.write_register(0x20, 8, root.value());
  unit.write_register(0x18, 4, 1U << 26 | 1U << 30);
  unit.write_register(0x18, 4, 1U << 26 | 1U << 31);
  auto port = iommu.attach({.function = Requester::from_sid(kSid)});
  expect(port.ok());
  std::mt19937_64 random(7);
  std::uint64_t tail = 0, waits = 0;
  for (std::uint64_t i = 0; i < kRequests;) {
    {
      DmaPort::Burst burst(**port);
      for (std::uint64_t n = 0; n < kBetweenFlushes; ++n, ++i) {
        const Iova iova((random() % kPages << kPageLg2) + random() % 64 * 64);
        expect(burst.translate(iova, 64, Access::kRead).ok());
      }
    }
    put(queue + tail, 0x100f2), put(queue + tail + 8, random() % kPages << kPageLg2);
    put(queue + tail + 16, 0x25 | ++waits << 32), put(queue + tail + 24, status.value());
    tail = (tail + 32) % kPageSize;
    unit.write_register(0x88, 4, tail);
  }
  port->reset();
  expect((*recorder)->finish(iommu.stats()).ok());
}

// The file, and its end.
class Recording {
 public:
  Recording()
      : path_(std::filesystem::temp_directory_path() /
              ("weir_bench_" + std::to_string(::getpid()) + ".trace")) {
    record(path_.string());
  }
  ~Recording() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

void play(State& state, const Recording& recording, Amount& millions) {
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    const auto report = replay::replay_trace(recording.path(), {});
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    if (!report) return state.SkipWithError(report.error().to_string().c_str());
    if (!report->good()) return state.SkipWithError("not the same as the recording");
    millions.add(static_cast<double>(report->stats.pieces()) / spent.count() / 1e6);
  }
}

}  // namespace

void add_replay_cases(std::vector<Case>& cases,
                      const std::function<bool(std::string_view)>& wanted) {
  const auto add_rings = [&](std::string_view name, StrictRings::Hint hint) {
    if (!wanted(name)) return;
    const auto books = std::make_shared<WalkBooks>();
    cases.push_back({.name = name,
                     .run = [hint, books](State& state) { count_references(state, hint, *books); },
                     .walks = books,
                     .iterations = 1});
  };
  add_rings(names::kStrictLeafOnly, StrictRings::Hint::kLeafOnly);
  add_rings(names::kStrictPlain, StrictRings::Hint::kNone);
  if (wanted(names::kReplaySpeed)) {
    const auto millions = std::make_shared<Amount>("M translations/s");
    const auto recording = std::make_shared<Recording>();
    cases.push_back({.name = names::kReplaySpeed,
                     .run = [recording, millions](State& state) { play(state, *recording, *millions); },
                     .amount = millions,
                     .iterations = 1});
  }
}

}  // namespace weir::bench
