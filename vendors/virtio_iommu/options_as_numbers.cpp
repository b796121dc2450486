// SPDX-License-Identifier: Apache-2.0
#include "vendors/virtio_iommu/options_as_numbers.h"

#include <concepts>
#include <type_traits>
#include <utility>

namespace weir::virtio_iommu {
namespace {

// Both directions visit the same places in the same order.
class Writer {
 public:
  template <typename T>
  void number(const T& value) {
    numbers_.push_back(static_cast<std::uint64_t>(value));
  }
  // Says how many there are.
  template <typename T>
  void count(const std::vector<T>& list) {
    numbers_.push_back(list.size());
  }
  [[nodiscard]] std::vector<std::uint64_t> take() { return std::move(numbers_); }

 private:
  std::vector<std::uint64_t> numbers_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::uint64_t> numbers) : numbers_(numbers) {}

  template <typename T>
  void number(T& value) {
    if (numbers_.empty()) {
      fits_ = false;
      return;
    }
    value = static_cast<T>(numbers_.front());
    fits_ = fits_ && static_cast<std::uint64_t>(value) == numbers_.front();
    numbers_ = numbers_.subspan(1);
  }
  template <typename T>
  void count(std::vector<T>& list) {
    std::uint64_t size = 0;
    number(size);
    // Each takes at least one number, so a wrong count asks for no more memory than the list has.
    if (size > numbers_.size()) fits_ = false;
    list.clear();
    if (fits_) list.resize(size);
  }
  [[nodiscard]] bool good() const { return fits_ && numbers_.empty(); }

 private:
  std::span<const std::uint64_t> numbers_;
  bool fits_ = true;
};

template <typename Visitor, typename Range>
void visit_range(Visitor& v, Range& range) {
  std::uint64_t first = range.first.value();
  std::uint64_t last = range.last.value();
  v.number(first);
  v.number(last);
  if constexpr (!std::is_const_v<Range>) range = {Iova(first), Iova(last)};
}

template <typename Visitor, typename O>
void visit(Visitor& v, O& o) {
  v.number(o.page_size_mask);
  visit_range(v, o.input_range);
  v.number(o.first_domain);
  v.number(o.last_domain);
  v.number(o.probe_size);
  v.number(o.bypass);
  v.number(o.boot_bypass);
  v.number(o.mmio);
  v.number(o.packed);
  v.number(o.queue_size);
  v.number(o.limits.domains);
  v.number(o.limits.mappings_per_domain);
  v.number(o.limits.mappings);
  v.number(o.limits.attached_endpoints);
  v.count(o.endpoints);
  for (auto& endpoint : o.endpoints) {
    v.number(endpoint.requester.segment);
    v.number(endpoint.requester.bdf);
    v.number(endpoint.id);
    v.count(endpoint.reserved);
    for (auto& region : endpoint.reserved) {
      v.number(region.kind);
      visit_range(v, region.range);
    }
  }
}

}  // namespace

std::vector<std::uint64_t> numbers_of(const Options& options) {
  Writer writer;
  visit(writer, options);
  return writer.take();
}

std::optional<Options> options_from(std::span<const std::uint64_t> numbers) {
  Options options;
  Reader reader(numbers);
  visit(reader, options);
  const bool known = options.bypass <= BypassControl::kConfig && options.queue_size != 0 &&
                     options.queue_size <= 1024 &&
                     (options.queue_size & (options.queue_size - 1)) == 0 &&
                     options.page_size_mask != 0;
  if (!reader.good() || !known) return std::nullopt;
  for (const EndpointOptions& endpoint : options.endpoints)
    for (const ReservedRegion& region : endpoint.reserved)
      if (region.kind > ReservedRegion::Kind::kMsi) return std::nullopt;
  return options;
}

}  // namespace weir::virtio_iommu
