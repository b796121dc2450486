// SPDX-License-Identifier: Apache-2.0
//
// The cases: each a named loop over one subject, measured by the harness in suite.cpp. Figures
// (figures.h) are made of their medians.
//
// One thread makes and keeps a Cases; the loops run on the threads that the harness gives them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace benchmark {
class State;
}

namespace weir::bench {

// How many measured requests an IOTLB answered. Added to by whichever thread runs the case.
struct HitBooks {
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> hits{0};
};

// Table entries that walks read. Likewise.
struct WalkBooks {
  std::atomic<std::uint64_t> walks{0};
  std::atomic<std::uint64_t> references{0};
};

// Something that is not nanoseconds, or not only: one value for each repetition.
struct Amount {
  explicit Amount(std::string_view unit_of_values) : unit(unit_of_values) {}
  void add(double value) { values.push_back(value); }
  void add_to_last(double value) { values.back() += value; }

  std::string_view unit;
  std::vector<double> values{};
  double least = 0;  // of the median; below, the case could not keep up what it is called
};

struct Case {
  std::string_view name;
  unsigned threads = 1;
  std::function<void(benchmark::State&)> run;
  std::shared_ptr<HitBooks> books = nullptr;   // null: the subject has no IOTLB
  std::shared_ptr<WalkBooks> walks = nullptr;  // null: not about walks
  std::shared_ptr<Amount> amount = nullptr;    // null: nanoseconds are all
  std::size_t iterations = 0;                  // 0: as many as take the time
  unsigned processors = 1;                     // that it needs, its own threads included
  unsigned batches = 1;                        // of requests in an iteration
};

namespace names {
inline constexpr std::string_view kArray = "array";
inline constexpr std::string_view kArrayChain = "array, dependent";
inline constexpr std::string_view kLookup = "IOTLB lookup";
inline constexpr std::string_view kLookupChain = "IOTLB lookup, dependent";
inline constexpr std::string_view kHit = "hit in a burst";
inline constexpr std::string_view kHitChain = "hit in a burst, dependent";
inline constexpr std::string_view kHitTwo = "hit in a burst, 2 threads";
inline constexpr std::string_view kHitTwoSame = "hit in a burst, 2 threads, one device";
inline constexpr std::string_view kHitAlone = "hit, each in a burst of its own";
inline constexpr std::string_view kLockedMap = "mutex + unordered_map";
inline constexpr std::string_view kConcurrentMap = "tbb::concurrent_hash_map";
inline constexpr std::string_view kThreeProbes = "three-probe hash + mutex";
inline constexpr std::string_view kThreeProbesTwo = "three-probe hash + mutex, 2 threads";
inline constexpr std::string_view kOneProbe = "one-probe hash + mutex";
inline constexpr std::string_view kBypass = "bypass in a burst";
inline constexpr std::string_view kOffered = "bypass, ACCESS_PLATFORM negotiated, no unit";
inline constexpr std::string_view kWindow = "window in a burst";
inline constexpr std::string_view kHitFew = "hit in a burst, 64 pages";
inline constexpr std::string_view kVerifiedFew = "verified hit in a burst, 64 pages";
}  // namespace names

struct CaseOptions {
  std::size_t iotlb_entries = 0;
  std::size_t requests = 0;
};

// Builds only what the cases of `wanted` need. Throws std::runtime_error where a subject answers
// wrongly before anything is measured.
[[nodiscard]] std::vector<Case> make_cases(const CaseOptions& options,
                                           const std::function<bool(std::string_view)>& wanted);

}  // namespace weir::bench
