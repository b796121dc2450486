// SPDX-License-Identifier: Apache-2.0
#include "tools/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

namespace weir::tools {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kSilence(1);
constexpr std::chrono::milliseconds kBetween(100);
constexpr int kBarWidth = 30;
constexpr std::size_t kNameWidth = 40;

}  // namespace

Progress::Progress()
    : on_terminal_(isatty(STDERR_FILENO) == 1), next_(steady_clock::now() + kSilence) {}

void Progress::show(std::string_view what, double done) {
  if (!on_terminal_ || steady_clock::now() < next_) return;
  next_ = steady_clock::now() + kBetween;
  drawn_ = true;
  const double part = std::clamp(done, 0.0, 1.0);
  const auto full = static_cast<std::size_t>(part * kBarWidth);
  // The end of a path says more than its beginning.
  const std::string name(what.substr(what.size() - std::min(what.size(), kNameWidth)));
  const std::string bar = std::string(full, '#') + std::string(kBarWidth - full, '.');
  std::fprintf(stderr, "\r\033[K%s [%s] %3.0f %%", name.c_str(), bar.c_str(), part * 100);
  std::fflush(stderr);
}

void Progress::clear() {
  if (!drawn_) return;
  drawn_ = false;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
}

}  // namespace weir::tools
