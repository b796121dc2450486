// SPDX-License-Identifier: Apache-2.0
#include "replay/run_environment.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>

#ifndef WEIR_VERSION
#define WEIR_VERSION "unknown"
#endif

namespace weir::replay {
namespace {

[[nodiscard]] std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "g++ " __VERSION__;
#else
  return "unknown";
#endif
}

[[nodiscard]] std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

// The best of several batches: what it costs undisturbed.
[[nodiscard]] double clock_cost() {
  using Clock = std::chrono::steady_clock;
  constexpr int kBatches = 5;
  constexpr int kLooks = 1000;
  double best = 1e9;
  for (int batch = 0; batch < kBatches; ++batch) {
    const auto start = Clock::now();
    auto end = start;
    for (int i = 0; i < kLooks; ++i) end = Clock::now();
    best = std::min(best, std::chrono::duration<double, std::nano>(end - start).count() / kLooks);
  }
  return best;
}

}  // namespace

const RunEnvironment& run_environment() {
  static const RunEnvironment kEnvironment {
    .version = WEIR_VERSION, .compiler = compiler(),
#if defined(__OPTIMIZE__)
    .optimised = true,
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    .sanitized = true,
#endif
    .processor = processor(), .processors = std::max(1U, std::thread::hardware_concurrency()),
    .clock_ns = clock_cost()
  };
  return kEnvironment;
}

}  // namespace weir::replay
