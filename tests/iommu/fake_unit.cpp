// SPDX-License-Identifier: Apache-2.0
#include "tests/iommu/fake_unit.h"

#include "pagetables/readers.h"
#include "pagetables/vtd_second_stage.h"

namespace weir::testing_iommu {
namespace {

using pagetables::VtdSecondStage;
constexpr auto kRules = VtdSecondStage::rules({});

}  // namespace

iotlb::Context FakeUnit::second_stage(std::uint32_t domain, Gpa root) {
  iotlb::Context context;
  context.kind = iotlb::ContextKind::kStage2;
  context.domain = DomainId{domain};
  context.stage2_root = root.value();
  context.stage2_levels = 4;
  context.input_bits = 48;
  return context;
}

void FakeUnit::set_context(Requester requester, const iotlb::Context& context) {
  const MutexLock lock(mutex_);
  contexts_[requester] = context;
}

void FakeUnit::drop_context(Requester requester) {
  const MutexLock lock(mutex_);
  contexts_.erase(requester);
}

std::uint64_t FakeUnit::post(const iotlb::Invalidation& what) {
  std::uint64_t number = 0;
  {
    const MutexLock lock(mutex_);
    queue_.push_back(what);
    number = ++posted_;
  }
  run();
  return number;
}

bool FakeUnit::set_mode(UnitMode mode) {
  host_.set_mode(mode);
  return host_.settled(host_.drain());
}

std::vector<Fault> FakeUnit::recorded() const {
  const MutexLock lock(mutex_);
  return recorded_;
}

Result<iotlb::Context, Fault> FakeUnit::read_context(const Request& request,
                                                     const pagetables::PhysicalMemory&) {
  std::optional<iotlb::Context> read;
  {
    const MutexLock lock(mutex_);
    if (const auto found = contexts_.find(request.requester); found != contexts_.end())
      read = found->second;
  }
  if (after_context) after_context(request);
  if (read) return *read;
  return Failure{Fault{.request = request,
                       .reason = FaultReason::kContextNotPresent,
                       .code = kNoContext,
                       .recorded = true}};
}

std::optional<Fault> FakeUnit::check(const iotlb::Context& context, const Request& request) {
  if (request.address_type == AddressType::kTranslated && context.allow_translated)
    return std::nullopt;
  if (request.address_type == AddressType::kUntranslated && request.pasid) return std::nullopt;
  return Fault{.request = request,
               .reason = FaultReason::kRequestTypeBlocked,
               .code = kBlocked,
               .recorded = true};
}

Result<pagetables::Leaf<Gpa>, Fault> FakeUnit::walk(const iotlb::Context& context,
                                                    const Request& piece, const WalkScope& scope) {
  if (before_walk) before_walk(piece);
  Fault fault{.request = piece, .stage = Stage::kStage2, .code = kWalkFault, .recorded = true};
  if (context.kind == iotlb::ContextKind::kBlocked) {
    fault.reason = FaultReason::kRequestTypeBlocked;
    fault.code = kBlocked;
    return Failure{fault};
  }
  if (context.kind == iotlb::ContextKind::kPassThrough) {
    fault.reason = FaultReason::kBeyondInputWidth;
    return Failure{fault};
  }
  pagetables::DirectReader reader(scope.memory);
  const auto leaf = pagetables::walk<VtdSecondStage>(kRules, reader, Gpa(context.stage2_root),
                                                     context.stage2_levels, piece.iova.value(),
                                                     Ask{.access = piece.access});
  if (after_walk) after_walk(piece);
  if (leaf) return *leaf;
  fault.reason = leaf.error().reason;
  fault.level = leaf.error().level;
  fault.entry_at = leaf.error().entry_at;
  fault.references = leaf.error().references;
  fault.recorded = !context.silence_faults;
  return Failure{fault};
}

void FakeUnit::record(const Fault& fault) {
  const MutexLock lock(mutex_);
  recorded_.push_back(fault);
}

void FakeUnit::poll() {
  polls_.fetch_add(1);
  if (in_poll) in_poll();
  run();
}

void FakeUnit::reset() {
  resets_.fetch_add(1);
  const MutexLock lock(mutex_);
  queue_.clear();
  contexts_.clear();
  recorded_.clear();
}

void FakeUnit::run() {
  {
    const MutexLock lock(mutex_);
    if (running_) {
      again_ = true;
      return;
    }
    running_ = true;
  }
  for (;;) {
    pass();
    const MutexLock lock(mutex_);
    if (!again_) {
      running_ = false;
      return;
    }
    again_ = false;
  }
}

void FakeUnit::pass() {
  for (;;) {
    if (parked_) {
      if (!host_.settled(*parked_)) return;
      parked_.reset();
      const std::uint64_t number = completed_.load(std::memory_order_relaxed) + 1;
      if (status_at_) (void)host_.write_memory(*status_at_, std::as_bytes(std::span(&number, 1)));
      // Release: pairs with completed().
      completed_.store(number, std::memory_order_release);
    }
    iotlb::Invalidation next;
    {
      const MutexLock lock(mutex_);
      if (queue_.empty()) return;
      next = queue_.front();
      queue_.pop_front();
    }
    parked_ = host_.invalidate(next);
  }
}

}  // namespace weir::testing_iommu
