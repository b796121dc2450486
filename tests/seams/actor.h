// SPDX-License-Identifier: Apache-2.0
//
// Schedules instead of chance: a thread that runs when the test says so, from one named point
// (base/seam.h) to the next. Between two calls of a test every actor stands still, so that what
// happens is the same each time, on any machine. No sleeps, no time.
//
// A test must not let an actor stand where it holds a lock that another one will want.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "base/seam.h"

namespace weir::seam {

class Actor {
 public:
  // A thread that stands at the beginning of `body`.
  explicit Actor(std::function<void()> body);
  // Runs to its end.
  ~Actor();
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;

  // Goes on to the next time that it reaches `point`: true, and it stands there. False: it has come
  // to its end without.
  bool run_to(Point point);
  void finish();

 private:
  friend void reach(Point point);
  void reached(Point point);
  bool go(std::optional<Point> to);

  std::mutex mutex_;
  std::condition_variable changed_;
  bool runs_ = false;
  bool ended_ = false;
  std::optional<Point> to_;
  std::thread thread_;
};

// Switches one bug on, for as long as it lives.
class Seeded {
 public:
  explicit Seeded(Bug bug);
  ~Seeded();
  Seeded(const Seeded&) = delete;
  Seeded& operator=(const Seeded&) = delete;
};

}  // namespace weir::seam
