// SPDX-License-Identifier: Apache-2.0
#include "bench/run_facts.h"

#include <fstream>

#include "bench/threads.h"

namespace weir::bench {
namespace {

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "g++ " __VERSION__;
#else
  return "unknown";
#endif
}

std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("model name")) continue;
    const auto colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

double load() {
  double value = 0;
  std::ifstream("/proc/loadavg") >> value;
  return value;
}

}  // namespace

RunFacts run_facts() {
  RunFacts facts{.version = WEIR_VERSION,
                 .build_type = WEIR_BUILD_TYPE,
                 .compiler = compiler(),
                 .processor = processor(),
                 .processors = usable_processors(),
                 .load = load()};
#ifndef NDEBUG
  facts.assertions = true;
#endif
  return facts;
}

}  // namespace weir::bench
