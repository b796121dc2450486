// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_command.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <ostream>

#include "replay/replay_loop.h"
#include "replay/report.h"
#include "tools/exit_status.h"
#include "tools/progress.h"

namespace weir::tools {
namespace {

using Replayed = Result<replay::Report, replay::TraceError>;

// One bar for all traces: whoever has got on shows it.
class SharedProgress {
 public:
  explicit SharedProgress(std::size_t files) : files_(files) {}

  void reached(const std::string& file, std::size_t done, double part) {
    const std::lock_guard lock(mutex_);
    bar_.show(file, (static_cast<double>(done) + part) / static_cast<double>(files_));
  }
  void clear() { bar_.clear(); }

 private:
  const std::size_t files_;
  std::mutex mutex_;
  Progress bar_;
};

// `run(i)` for every i, side by side where that is allowed.
template <typename Run>
void for_each_index(std::size_t count, const Run& run) {
#ifdef WEIR_NO_TBB_TASKS
  for (std::size_t i = 0; i < count; ++i) run(i);
#else
  tbb::parallel_for(std::size_t{0}, count, run);
#endif
}

}  // namespace

int run_replay(const ReplayCommandOptions& options, std::ostream& out, std::ostream& err) {
  const std::size_t count = options.files.size();
  std::vector<Replayed> replayed(count, Replayed(Failure{replay::TraceError{}}));
  SharedProgress progress(count);
  std::atomic<std::size_t> done{0};
  for_each_index(count, [&](std::size_t i) {
    replay::ReplayOptions how;
    how.caches.entries = options.entries;
    if (options.reference) how.caches.organisation = CacheOptions::Organisation::kReference;
    // Relaxed, both: a bar needs no order.
    how.progress = [&](double part) {
      progress.reached(options.files[i], done.load(std::memory_order_relaxed), part);
    };
    replayed[i] = replay::replay_trace(options.files[i], how);
    done.fetch_add(1, std::memory_order_relaxed);
  });
  progress.clear();

  std::vector<replay::Report> reports;
  for (Replayed& result : replayed) {
    if (!result) {
      err << "weir replay: " << result.error().to_string() << "\n";
      return kUnusable;
    }
    reports.push_back(std::move(*result));
    reports.back().in_parallel = count > 1;
  }
  if (options.json) {
    print_json(out, reports);
  } else {
    for (std::size_t i = 0; i < reports.size(); ++i) {
      if (i != 0) out << "\n----\n\n";
      print_text(out, reports[i]);
    }
  }
  const bool good = std::all_of(reports.begin(), reports.end(),
                                [](const replay::Report& report) { return report.good(); });
  return good ? kGood : kDifferent;
}

}  // namespace weir::tools
