// SPDX-License-Identifier: Apache-2.0
#include "bench/cases.h"

#include <benchmark/benchmark.h>

#include <stdexcept>

#include "bench/baselines.h"
#include "bench/flush_cases.h"
#include "bench/loops.h"
#include "bench/machine.h"
#include "bench/replay_cases.h"
#include "bench/strict_guest.h"
#include "bench/vmm_cache.h"
#include "bench/walk_cases.h"
#include "iotlb/iotlb.h"

namespace weir::bench {
namespace {

using benchmark::State;

// ---- The IOTLB alone: what the core calls, without a request around it.

class BareIotlb {
 public:
  BareIotlb(const Workload& workload, std::size_t entries)
      : workload_(workload), iotlb_({.entries = entries}) {
    for (std::size_t i = 0; i < workload.pages(); ++i)
      (void)iotlb_.fill(iotlb_.begin_fill(kTag.domain), {.tag = kTag,
                                                         .page = workload.page(i),
                                                         .output = workload.gpa_of_page(i).value(),
                                                         .permissions = Permissions::read_write()});
  }

  template <bool kDepends>
  void run(State& state, HitBooks& books) {
    std::uint64_t misses = 0;
    iotlb::IotlbKey key = iotlb_.key_for(kTag);  // as a burst has it ready
    run_lookups<kDepends>(state, workload_, [&](Iova iova) {
      const auto hit = iotlb_.lookup(key, iova);
      if (hit) [[likely]]
        return hit->output;
      ++misses;
      return workload_.expected(iova).value();
    });
    const auto requests = static_cast<std::uint64_t>(state.iterations()) * Workload::kBatch;
    // Relaxed: sums that are read when nothing runs.
    books.requests.fetch_add(requests, std::memory_order_relaxed);
    books.hits.fetch_add(requests - misses, std::memory_order_relaxed);
  }

 private:
  static constexpr iotlb::Tag kTag{.domain = {1}};
  const Workload& workload_;
  iotlb::Iotlb iotlb_;
};

// ---- The whole path of a request.

template <bool kDepends>
void run_port(State& state, const Workload& workload, const Workload::Stream& stream,
              DmaPort& port) {
  run_bursts<kDepends>(state, workload, stream,
                       [&](std::span<const std::uint32_t, kBurst> requests, auto& chain) {
                         answer_burst(port, requests, chain);
                       });
}

template <bool kDepends>
void run_hits(State& state, const Workload& workload, Machine& machine, HitBooks& books) {
  const Stats before = machine.stats();
  run_port<kDepends>(state, workload, workload.translated(),
                     machine.translated(static_cast<std::size_t>(state.thread_index())));
  const Stats after = machine.stats();
  // With two threads the other's requests are in the difference too; a share of hits it stays.
  // Relaxed: as above.
  books.requests.fetch_add(after.pieces() - before.pieces(), std::memory_order_relaxed);
  books.hits.fetch_add(after.of(Outcome::kHit) - before.of(Outcome::kHit),
                       std::memory_order_relaxed);
}

// The subjects of all cases, each made when the first case asks for it.
class Subjects {
 public:
  explicit Subjects(const CaseOptions& options)
      : options_(options),
        workload({.requests = options.requests}),
        few_pages({.pages = 64, .requests = options.requests}) {}

  Machine& machine() {
    if (machine_ == nullptr) {
      machine_ = std::make_unique<Machine>(workload, options_.iotlb_entries);
      if (const auto wrong = machine_->warm_up(workload)) throw std::runtime_error(*wrong);
    }
    return *machine_;
  }
  // Few pages, so that their tables are in the processor's cache.
  Machine& few(bool verified) {
    std::unique_ptr<Machine>& held = verified ? few_verified_ : few_;
    if (held == nullptr) {
      held = std::make_unique<Machine>(few_pages, kFewEntries, verified);
      if (const auto wrong = held->warm_up(few_pages)) throw std::runtime_error(*wrong);
    }
    return *held;
  }
  BareIotlb& iotlb() { return made(iotlb_, options_.iotlb_entries); }
  DirectMapped& array() { return made(array_); }
  LockedMap& locked_map() { return made_over_memory(locked_map_); }
  ConcurrentMap& concurrent_map() { return made_over_memory(concurrent_map_); }
  VmmCache& three_probes() {
    return made_over_memory(three_probes_, VmmCache::Order::kLargestFirst);
  }
  VmmCache& one_probe() { return made_over_memory(one_probe_, VmmCache::Order::kSmallestFirst); }

 private:
  template <typename T, typename... Args>
  T& made(std::unique_ptr<T>& held, Args... args) {
    if (held == nullptr) held = std::make_unique<T>(workload, args...);
    return *held;
  }

  // In the memory that the machine's hits land in.
  template <typename T, typename... Args>
  T& made_over_memory(std::unique_ptr<T>& held, Args... args) {
    if (held == nullptr) held = std::make_unique<T>(workload, machine().memory(), args...);
    return *held;
  }

  const CaseOptions options_;

 public:
  const Workload workload;
  const Workload few_pages;

 private:
  static constexpr std::size_t kFewEntries = 1024;

  std::unique_ptr<Machine> machine_;
  std::unique_ptr<Machine> few_;
  std::unique_ptr<Machine> few_verified_;
  std::unique_ptr<BareIotlb> iotlb_;
  std::unique_ptr<DirectMapped> array_;
  std::unique_ptr<LockedMap> locked_map_;
  std::unique_ptr<ConcurrentMap> concurrent_map_;
  std::unique_ptr<VmmCache> three_probes_;
  std::unique_ptr<VmmCache> one_probe_;
};

// Checks every page before anything is measured.
template <typename Subject>
void expect_right(const Workload& workload, std::string_view name, Subject lookup) {
  for (std::size_t i = 0; i < workload.pages(); ++i) {
    const Iova iova = workload.page(i) + i % kPageSize;
    if (lookup(iova) != workload.expected(iova).value())
      throw std::runtime_error("a wrong translation from: " + std::string(name));
  }
}

}  // namespace

std::vector<Case> make_cases(const CaseOptions& options,
                             const std::function<bool(std::string_view)>& wanted) {
  const auto subjects = std::make_shared<Subjects>(options);
  const Workload& workload = subjects->workload;
  std::vector<Case> cases;
  // `make(books)` gives the loop. Subjects stay alive as long as a loop that uses them.
  const auto add = [&](std::string_view name, unsigned threads, bool cached, auto make) {
    if (!wanted(name)) return;
    auto books = cached ? std::make_shared<HitBooks>() : nullptr;
    cases.push_back(
        {.name = name,
         .threads = threads,
         .run = [subjects, books, run = make(books.get())](State& state) { run(state); },
         .books = books,
         .processors = threads});
  };
  const auto add_lookups = [&](std::string_view name, unsigned threads, auto depends,
                               auto get_lookup) {
    add(name, threads, false, [&](HitBooks*) {
      auto lookup = get_lookup();
      expect_right(workload, name, lookup);
      return [&workload, lookup](State& state) {
        run_lookups<decltype(depends)::value>(state, workload, lookup);
      };
    });
  };
  const auto probing = [](VmmCache& cache) {
    return [&cache](Iova iova) { return cache.lookup(kVmmRequesters[0], iova); };
  };
  const auto plain = [](auto& map) { return [&map](Iova iova) { return map.lookup(iova); }; };

  add_lookups(names::kArray, 1, std::false_type(), [&] { return plain(subjects->array()); });
  add_lookups(names::kArrayChain, 1, std::true_type(), [&] { return plain(subjects->array()); });
  const auto add_iotlb = [&](std::string_view name, auto depends) {
    add(name, 1, true, [&](HitBooks* books) {
      return [&iotlb = subjects->iotlb(), books](State& state) {
        iotlb.run<decltype(depends)::value>(state, *books);
      };
    });
  };
  add_iotlb(names::kLookup, std::false_type());
  add_iotlb(names::kLookupChain, std::true_type());
  const auto add_hits = [&](std::string_view name, unsigned threads, auto depends) {
    add(name, threads, true, [&](HitBooks* books) {
      return [&machine = subjects->machine(), &workload, books](State& state) {
        run_hits<decltype(depends)::value>(state, workload, machine, *books);
      };
    });
  };
  add_hits(names::kHit, 1, std::false_type());
  add_hits(names::kHitChain, 1, std::true_type());
  add_hits(names::kHitTwo, 2, std::false_type());
  add(names::kHitTwoSame, 2, false, [&](HitBooks*) {
    return [&machine = subjects->machine(), &workload](State& state) {
      run_port<false>(state, workload, workload.translated(), machine.translated(0));
    };
  });
  add_lookups(names::kHitAlone, 1, std::false_type(), [&] {
    return [&port = subjects->machine().translated(0)](Iova iova) {
      const auto t = port.translate(iova, Workload::kRequestBytes, Access::kRead);
      return t ? t->gpa.value() : kNoAnswer;
    };
  });
  const auto add_few = [&](std::string_view name, bool verified) {
    add(name, 1, true, [&](HitBooks* books) {
      return [&machine = subjects->few(verified), &pages = subjects->few_pages,
              books](State& state) { run_hits<false>(state, pages, machine, *books); };
    });
  };
  add_few(names::kHitFew, false);
  add_few(names::kVerifiedFew, true);
  add(names::kBypass, 1, false, [&](HitBooks*) {
    return [&machine = subjects->machine(), &workload](State& state) {
      run_port<false>(state, workload, workload.identity(), machine.bypassing());
    };
  });
  // What the policy makes of a device that negotiated ACCESS_PLATFORM where nothing translates.
  add(names::kOffered, 1, false, [&](HitBooks*) {
    return [&machine = subjects->machine(), &workload](State& state) {
      run_port<false>(state, workload, workload.identity(), machine.offered());
    };
  });
  add(names::kWindow, 1, false, [&](HitBooks*) {
    return [&machine = subjects->machine(), &workload](State& state) {
      run_port<false>(state, workload, workload.identity(), machine.windowed());
    };
  });
  add_lookups(names::kLockedMap, 1, std::false_type(),
              [&] { return plain(subjects->locked_map()); });
  add_lookups(names::kConcurrentMap, 1, std::false_type(),
              [&] { return plain(subjects->concurrent_map()); });
  add_lookups(names::kThreeProbes, 1, std::false_type(),
              [&] { return probing(subjects->three_probes()); });
  add_lookups(names::kThreeProbesTwo, 2, std::false_type(),
              [&] { return probing(subjects->three_probes()); });
  add_lookups(names::kOneProbe, 1, std::false_type(),
              [&] { return probing(subjects->one_probe()); });
  add_walk_cases(cases, wanted);
  add_replay_cases(cases, wanted);
  add_strict_guest_cases(cases, wanted);
  add_flush_cases(cases, wanted, workload,
                  [subjects]() -> Machine& { return subjects->machine(); });
  return cases;
}

}  // namespace weir::bench
