// SPDX-License-Identifier: Apache-2.0
//
// A small vendor for tests of the core: contexts in a map, second-stage tables in guest memory, and
// a queue of invalidations that parks while a ticket is not settled, as a real front end's does.
//
// Any thread, as unit.h says. The hooks are set before threads start.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "base/mutex.h"
#include "iommu/unit.h"

namespace weir::testing_iommu {

class FakeUnit : public Unit {
 public:
  static constexpr std::uint16_t kNoContext = 2;  // this vendor's fault codes
  static constexpr std::uint16_t kWalkFault = 5;
  static constexpr std::uint16_t kBlocked = 0xd;
  static constexpr std::uint16_t kDenied = 0x50;  // and which Denial it was
  static constexpr std::uint16_t kInterrupt = 0x20;

  explicit FakeUnit(UnitHost& host) : host_(host) {}

  UnitHost& host() { return host_; }

  // ---- the guest
  // A second-stage context of four levels.
  static iotlb::Context second_stage(std::uint32_t domain, Gpa root);
  // A first-stage one, of its PASID 1, with accessed and dirty bits.
  static iotlb::Context first_stage(std::uint32_t domain, Gpa root);
  // Writes the structure; nothing is flushed.
  void set_context(Requester requester, const iotlb::Context& context);
  void drop_context(Requester requester);
  // Of requests with this PASID; without one of its own, a function has one context for all.
  void set_context(Requester requester, Pasid pasid, const iotlb::Context& context);
  // An entry of the interrupt table; its number is bits 19:12 of a message's address.
  void set_interrupt(std::uint32_t index, const RemappedInterrupt& to);
  void drop_interrupt(std::uint32_t index);
  // Posts an invalidation and kicks the queue. Gives how many completions must be published before
  // it has completed.
  std::uint64_t post(const iotlb::Invalidation& what);
  [[nodiscard]] std::uint64_t completed() const {
    // Acquire: pairs with the publication; the guest's next step rests on it.
    return completed_.load(std::memory_order_acquire);
  }
  // Translation on or off, and true once it has taken hold at once.
  bool set_mode(UnitMode mode);
  // Every publication also writes its number here, through the host.
  void write_status_at(Gpa at) { status_at_ = at; }

  // ---- what was seen
  [[nodiscard]] std::vector<Fault> recorded() const;
  [[nodiscard]] std::vector<PageRequest> page_requests() const;
  [[nodiscard]] std::vector<Requester> silent() const;  // functions, in the order they were told
  [[nodiscard]] std::uint64_t polls() const { return polls_.load(); }
  [[nodiscard]] std::uint64_t resets() const { return resets_.load(); }

  // ---- hooks: what the guest does while a device thread is just there
  std::function<void(const Request&)> after_context;  // read, and not used yet
  std::function<void(const Request&)> before_walk;
  std::function<void(const Request&)> after_walk;
  std::function<void(const Request&)> after_interrupt;
  // What a page request is answered with at once.
  std::optional<PageResponseCode> page_response;
  std::optional<Clock::Duration> device_tlb_limit;
  bool announces = false;  // mappings
  // Called inside poll(), as by a vendor that looks at its queue in memory each time.
  std::function<void()> in_poll;

  // ---- Unit
  Result<iotlb::Context, Fault> read_context(const Request& request,
                                             const pagetables::PhysicalMemory& memory) override;
  std::optional<Fault> check(const iotlb::Context& context, const Request& request) override;
  Fault deny(const iotlb::Context& context, const Request& request, Denial denial) override;
  Result<pagetables::Leaf<Gpa>, Fault> walk(const iotlb::Context& context, const Request& piece,
                                            const WalkScope& scope) override;
  Result<RemappedInterrupt, Fault> remap_interrupt(const Request& request, Msi msi,
                                                   const pagetables::PhysicalMemory&) override;
  Result<std::optional<Msi>, Fault> post_interrupt(
      const Request& request, const RemappedInterrupt& posted,
      const pagetables::PhysicalMemory& memory) override;
  std::optional<PageResponseCode> take_page_request(const PageRequest& request) override;
  void device_tlb_timed_out(Requester function, Ticket ticket) override;
  [[nodiscard]] bool announces_mappings() const override { return announces; }
  void record(const Fault& fault) override;
  void poll() override;
  void reset() override;

 private:
  void run();
  void pass();

  UnitHost& host_;
  std::optional<Gpa> status_at_;
  std::atomic<std::uint64_t> completed_{0};
  std::atomic<std::uint64_t> polls_{0};
  std::atomic<std::uint64_t> resets_{0};
  std::optional<Ticket> parked_;  // the runner's own

  mutable Mutex mutex_;
  std::map<std::pair<Requester, std::uint32_t>, iotlb::Context> contexts_ WEIR_GUARDED_BY(mutex_);
  std::map<std::uint32_t, RemappedInterrupt> interrupts_ WEIR_GUARDED_BY(mutex_);
  std::deque<iotlb::Invalidation> queue_ WEIR_GUARDED_BY(mutex_);
  std::vector<Fault> recorded_ WEIR_GUARDED_BY(mutex_);
  std::vector<PageRequest> page_requests_ WEIR_GUARDED_BY(mutex_);
  std::vector<Requester> silent_ WEIR_GUARDED_BY(mutex_);
  std::uint64_t posted_ WEIR_GUARDED_BY(mutex_) = 0;
  bool running_ WEIR_GUARDED_BY(mutex_) = false;
  bool again_ WEIR_GUARDED_BY(mutex_) = false;
};

}  // namespace weir::testing_iommu
