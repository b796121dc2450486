// SPDX-License-Identifier: Apache-2.0
#include "tests/iommu/fake_unit.h"

#include "pagetables/readers.h"
#include "pagetables/vtd_second_stage.h"
#include "pagetables/x86_first_stage.h"

namespace weir::testing_iommu {
namespace {

using pagetables::VtdSecondStage;
using pagetables::X86FirstStage;
constexpr auto kRules = VtdSecondStage::rules({});
constexpr auto kFirstRules = X86FirstStage::rules({});

// Every requester without a PASID, and those whose PASID has no context of its own.
constexpr std::uint32_t kAny = iotlb::Context::kNoPasid;

[[nodiscard]] pagetables::WalkResult<Gpa> walk_tables(const iotlb::Context& context,
                                                      const Request& piece,
                                                      const WalkScope& scope) {
  pagetables::DirectReader reader(scope.memory, scope.trace);
  const Ask ask = iotlb::ask_of(context, piece);
  if (context.kind == iotlb::ContextKind::kStage1)
    return pagetables::walk<X86FirstStage>(kFirstRules, reader, Gpa(context.stage1_root),
                                           context.stage1_levels, piece.iova.value(), ask);
  return pagetables::walk<VtdSecondStage>(kRules, reader, Gpa(context.stage2_root),
                                          context.stage2_levels, piece.iova.value(),
                                          Ask{.access = ask.access});
}

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

iotlb::Context FakeUnit::first_stage(std::uint32_t domain, Gpa root) {
  iotlb::Context context;
  context.kind = iotlb::ContextKind::kStage1;
  context.domain = DomainId{domain};
  context.pasid = 1;
  context.stage1_root = root.value();
  context.stage1_levels = 4;
  context.input_bits = 64;
  return context;
}

void FakeUnit::set_context(Requester requester, const iotlb::Context& context) {
  const MutexLock lock(mutex_);
  contexts_[{requester, kAny}] = context;
}

void FakeUnit::set_context(Requester requester, Pasid pasid, const iotlb::Context& context) {
  const MutexLock lock(mutex_);
  contexts_[{requester, pasid.value}] = context;
}

void FakeUnit::drop_context(Requester requester) {
  const MutexLock lock(mutex_);
  contexts_.erase({requester, kAny});
}

void FakeUnit::set_interrupt(std::uint32_t index, const RemappedInterrupt& to) {
  const MutexLock lock(mutex_);
  interrupts_[index] = to;
}

void FakeUnit::drop_interrupt(std::uint32_t index) {
  const MutexLock lock(mutex_);
  interrupts_.erase(index);
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

std::vector<PageRequest> FakeUnit::page_requests() const {
  const MutexLock lock(mutex_);
  return page_requests_;
}

std::vector<Requester> FakeUnit::silent() const {
  const MutexLock lock(mutex_);
  return silent_;
}

Result<iotlb::Context, Fault> FakeUnit::read_context(const Request& request,
                                                     const pagetables::PhysicalMemory&) {
  std::optional<iotlb::Context> read;
  {
    const MutexLock lock(mutex_);
    auto found = contexts_.find({request.requester, request.pasid ? request.pasid->value : kAny});
    if (found == contexts_.end()) found = contexts_.find({request.requester, kAny});
    if (found != contexts_.end()) read = found->second;
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
  if (request.address_type == AddressType::kTranslationRequest &&
      context.allow_translation_requests)
    return std::nullopt;
  if (request.address_type == AddressType::kUntranslated) return std::nullopt;
  return Fault{.request = request,
               .reason = FaultReason::kRequestTypeBlocked,
               .code = kBlocked,
               .recorded = true};
}

Fault FakeUnit::deny(const iotlb::Context& context, const Request& request, Denial denial) {
  Fault fault = Unit::deny(context, request, denial);
  fault.code = static_cast<std::uint16_t>(kDenied + static_cast<unsigned>(denial));
  fault.recorded = !context.silence_faults;
  return fault;
}

Result<RemappedInterrupt, Fault> FakeUnit::remap_interrupt(const Request& request, Msi msi,
                                                           const pagetables::PhysicalMemory&) {
  const std::uint32_t index = msi.address >> 12 & 0xff;
  std::optional<RemappedInterrupt> to;
  {
    const MutexLock lock(mutex_);
    if (const auto found = interrupts_.find(index); found != interrupts_.end()) to = found->second;
  }
  if (after_interrupt) after_interrupt(request);
  if (to) return *to;
  return Failure{Fault{.request = request,
                       .reason = FaultReason::kInterruptNotPresent,
                       .code = kInterrupt,
                       .recorded = true,
                       .vendor_detail = index}};
}

Result<std::optional<Msi>, Fault> FakeUnit::post_interrupt(
    const Request& request, const RemappedInterrupt& posted,
    const pagetables::PhysicalMemory& memory) {
  std::uint64_t word = 0;
  for (;;) {
    const std::uint64_t next = word | std::uint64_t{1} << posted.interrupt.vector % 64;
    const auto done = memory.compare_exchange64(posted.descriptor, word, next);
    if (!done)
      return Failure{Fault{
          .request = request, .reason = FaultReason::kInterruptUnreadable, .code = kInterrupt}};
    if (*done) break;
  }
  // Only the first of a batch notifies.
  return word == 0 ? std::optional(posted.msi) : std::nullopt;
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
  const auto leaf = walk_tables(context, piece, scope);
  if (after_walk) after_walk(piece);
  if (leaf) return *leaf;
  fault.reason = leaf.error().reason;
  fault.level = leaf.error().level;
  fault.entry_at = leaf.error().entry_at;
  fault.references = leaf.error().references;
  fault.recorded = !context.silence_faults;
  if (piece.address_type == AddressType::kTranslationRequest) {
    fault.recorded = false;
    fault.ats = AtsStatus::kSuccess;
  }
  return Failure{fault};
}

std::optional<PageResponseCode> FakeUnit::take_page_request(const PageRequest& request) {
  const MutexLock lock(mutex_);
  page_requests_.push_back(request);
  return page_response;
}

void FakeUnit::device_tlb_timed_out(Requester function, Ticket) {
  const MutexLock lock(mutex_);
  silent_.push_back(function);
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
    parked_ = next.scope == iotlb::Scope::kDeviceTlb
                  ? host_.invalidate_device_tlb(next, device_tlb_limit)
                  : host_.invalidate(next);
  }
}

}  // namespace weir::testing_iommu
