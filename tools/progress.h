// SPDX-License-Identifier: Apache-2.0
//
// A progress bar on stderr, for work that has already taken a second and only where stderr is a
// terminal; otherwise it does nothing. For one thread; call clear() before anything else is
// printed.
#pragma once

#include <chrono>
#include <string_view>

namespace weir::tools {

class Progress {
 public:
  Progress();
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` is 0…1. Cheap enough to be called for every small piece of work.
  void show(std::string_view what, double done);
  void clear();

 private:
  using Time = std::chrono::steady_clock::time_point;

  bool on_terminal_;
  bool drawn_ = false;
  Time next_;  // not drawn before
};

}  // namespace weir::tools
