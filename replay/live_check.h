// SPDX-License-Identifier: Apache-2.0
//
// Watches a running machine from beside the normal path and tells for every answer of its caches
// whether the tables say the same now (current), said so before a change that no invalidation
// covers yet (legal-stale), or neither (stale); and keeps books of its own, to be compared with the
// machine's. It knows the tables from walking them itself, without any cache, at every hit; and
// what may still be answered from the walks and the invalidations that it heard of, in the order in
// which they happened. It never looks into a cache.
//
//   replay::LiveCheck check(next);   // another recorder behind it, or null
//   Iommu iommu({…, .recorder = &check});
//   check.watch(iommu.add_unit<…>(…), …);
//
// An invalidation counts from the moment it was carried out, which is before its completion: what
// it covers may not answer any request that begins afterwards, and with a recorder none is under
// way meanwhile.
//
// For machines with one unit. As every Recorder: called from any thread, one at a time, with the
// machine's turn; the figures are for whoever has seen to it that nothing is under way, as the one
// thread of a server. Memory: what was walked and has not been invalidated since.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "iommu/dma_port.h"
#include "iommu/recorder.h"
#include "iommu/stats.h"
#include "iommu/unit.h"

namespace weir::replay {

struct LiveFindings {
  std::uint64_t judged = 0;  // hits, and pieces that passed through a context
  std::uint64_t legal_stale = 0;
  std::uint64_t stale = 0;
  // Walks whose tables changed before they could be walked again.
  std::uint64_t overtaken = 0;
  // The first that was stale.
  struct First {
    Requester requester;
    Iova iova;
    Gpa answered;
    std::optional<Gpa> tables;  // nothing: they refuse it
  };
  std::optional<First> first{};
};

class LiveCheck final : public Recorder {
 public:
  explicit LiveCheck(Recorder* next = nullptr) : next_(next) {}

  // The unit whose answers are judged. Before the guest has turned it on.
  // `on`: whether its translation is on; asked of pieces that passed through.
  void watch(Unit& unit, std::function<bool()> on) {
    unit_ = &unit;
    on_ = std::move(on);
  }

  [[nodiscard]] const LiveFindings& findings() const { return findings_; }
  // Whether every piece that was heard of is in `books` as what it was, and no other. Of pieces
  // that are answered with memory; messages and questions of device TLBs are not heard one by one.
  [[nodiscard]] bool agrees(const Stats& books) const;

  // --- Recorder
  void on_config(const IommuConfig& config) override;
  void on_table(std::span<const std::byte> table) override;
  void on_unit(UnitId unit, std::uint64_t register_base, std::string_view vendor,
               std::span<const std::uint64_t> options) override;
  void on_unrecordable(std::string_view what) override;
  void on_memory(const pagetables::PhysicalMemory& memory) override;
  void take_turn() override;
  void end_turn() override;
  void begin(const RecordedCall& call) override;
  void end(const RecordedAnswer& answer) override;
  void before_piece(const Request& request, PieceForm form) override;
  void after_piece(const Request& request, PieceForm form,
                   const Result<Translation, Fault>& result) override;
  void on_refused(const Request& request, FaultReason reason) override;
  void on_invalidation(UnitId unit, const iotlb::Invalidation& what,
                       const iotlb::Removed& removed) override;
  void on_unit_msi(UnitId unit, Msi msi) override;
  void on_device_msi(Requester requester, Msi msi) override;
  void on_peek() override;
  void before_read(Gpa at) override;
  void on_read(Gpa at, std::span<const std::byte> bytes) override;
  void on_write(Gpa at, std::span<const std::byte> bytes) override;

 private:
  // Who asks, and with what.
  using Source = std::pair<Requester, std::uint32_t>;
  // What the caches may tell apart.
  using Space = std::pair<std::uint32_t, std::uint32_t>;  // domain, PASID tag
  struct Page {
    unsigned lg2 = 0;
    std::uint64_t first = 0;
    friend auto operator<=>(const Page&, const Page&) = default;
  };
  // Outputs of the page that walks have given since it was last covered; mostly one.
  using Pages = std::map<Page, std::vector<std::uint64_t>>;

  // What the guest's structures say now of a request; without trace and without caches.
  struct Look {
    std::optional<iotlb::Context> context;
    std::optional<Gpa> gpa;  // nothing: refused
  };
  [[nodiscard]] Look look(const Request& request) const;

  void judge_hit(const Request& request, const Translation& answer);
  void judge_pass(const Request& request);
  void remember(const Request& request, const Translation& answer);
  // The context that answers for `source` since contexts were last invalidated.
  [[nodiscard]] const iotlb::Context* context_of(const Source& source, const Look& now);
  [[nodiscard]] bool walked(const iotlb::Context& context, Iova iova, Gpa gpa) const;
  void found_stale(const Request& request, Gpa answered, const Look& now);
  void forget(const iotlb::Invalidation& what);
  static void forget_pages(Pages& pages, const AddressRange<Iova>& range);
  void forget_contexts(const iotlb::Invalidation& what);

  Recorder* const next_;
  Unit* unit_ = nullptr;
  std::function<bool()> on_;
  std::recursive_mutex turn_;  // nobody's who has another recorder behind it, which has its own

  // With the turn.
  std::optional<pagetables::PhysicalMemory> memory_;  // without a witness
  std::map<Source, iotlb::Context> contexts_;
  std::map<Space, Pages> spaces_;
  LiveFindings findings_;
  std::array<std::uint64_t, kOutcomeCount> heard_{};
  std::optional<Outcome> last_;  // of the piece before, in case it is taken back
};

}  // namespace weir::replay
