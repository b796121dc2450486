// SPDX-License-Identifier: Apache-2.0
#include "tests/seams/actor.h"

#include <atomic>
#include <utility>

namespace weir::seam {
namespace {

thread_local Actor* current = nullptr;
std::atomic<Bug> seeded_bug{Bug::kNone};

}  // namespace

void reach(Point point) {
  if (current != nullptr) current->reached(point);
}

bool seeded(Bug bug) {
  // Relaxed: switched while every other thread stands still.
  return seeded_bug.load(std::memory_order_relaxed) == bug;
}

Seeded::Seeded(Bug bug) { seeded_bug.store(bug, std::memory_order_relaxed); }
Seeded::~Seeded() { seeded_bug.store(Bug::kNone, std::memory_order_relaxed); }

Actor::Actor(std::function<void()> body)
    : thread_([this, body = std::move(body)] {
        {
          std::unique_lock lock(mutex_);
          changed_.wait(lock, [this] { return runs_; });
        }
        current = this;
        body();
        current = nullptr;
        const std::lock_guard lock(mutex_);
        runs_ = false;
        ended_ = true;
        changed_.notify_all();
      }) {}

Actor::~Actor() {
  finish();
  thread_.join();
}

void Actor::reached(Point point) {
  std::unique_lock lock(mutex_);
  if (to_ != point) return;
  runs_ = false;
  changed_.notify_all();
  changed_.wait(lock, [this] { return runs_; });
}

bool Actor::go(std::optional<Point> to) {
  std::unique_lock lock(mutex_);
  if (ended_) return false;
  to_ = to;
  runs_ = true;
  changed_.notify_all();
  changed_.wait(lock, [this] { return !runs_; });
  return !ended_;
}

bool Actor::run_to(Point point) { return go(point); }

void Actor::finish() { (void)go(std::nullopt); }

}  // namespace weir::seam
