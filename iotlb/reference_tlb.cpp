// SPDX-License-Identifier: Apache-2.0
#include "iotlb/reference_tlb.h"

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/unordered_set.hpp>
#include <deque>
#include <map>
#include <vector>

#include "base/mutex.h"

namespace weir::iotlb {
namespace {

namespace bi = boost::intrusive;

struct Key {
  Tag tag;
  std::uint64_t page = 0;
  std::uint8_t page_lg2 = 0;

  friend bool operator==(const Key&, const Key&) = default;
};

struct HashOfKey {
  std::size_t operator()(const Key& key) const {
    std::uint64_t x = key.page >> key.page_lg2;
    x = (x ^ std::uint64_t{key.tag.domain.value} << 40 ^ std::uint64_t{key.tag.pasid} << 20 ^
         key.page_lg2) *
        0x9e3779b97f4a7c15;
    return static_cast<std::size_t>(x ^ x >> 32);
  }
};

// Lives in one hash bucket and either in the LRU list or, empty, in the free list.
struct Node : bi::list_base_hook<>, bi::unordered_set_base_hook<> {
  Entry entry;
};

struct KeyOfNode {
  using type = Key;
  Key operator()(const Node& node) const {
    return {node.entry.tag, node.entry.page.value(), node.entry.page_lg2};
  }
};

using Table = bi::unordered_set<Node, bi::key_of_value<KeyOfNode>, bi::hash<HashOfKey>,
                                bi::power_2_buckets<true>>;
constexpr std::size_t kFirstBuckets = 1024;

}  // namespace

struct ReferenceTlb::State {
  explicit State(std::size_t limit) : capacity(limit) {}
  ~State() {
    table.clear();
    used.clear();
    unused.clear();
  }

  const std::size_t capacity;
  mutable Mutex mutex;
  std::vector<Table::bucket_type> buckets WEIR_GUARDED_BY(mutex) =
      std::vector<Table::bucket_type>(kFirstBuckets);
  std::deque<Node> nodes WEIR_GUARDED_BY(mutex);  // stable addresses; grows to the peak and stays
  Table table WEIR_GUARDED_BY(mutex){Table::bucket_traits(buckets.data(), buckets.size())};
  bi::list<Node> used WEIR_GUARDED_BY(mutex);  // most recently used first
  bi::list<Node> unused WEIR_GUARDED_BY(mutex);
  std::map<std::uint8_t, std::size_t> sizes WEIR_GUARDED_BY(mutex);  // page_lg2 → entries

  Node* find(Tag tag, Iova iova) WEIR_REQUIRES(mutex) {
    for (const auto& [lg2, count] : sizes) {
      const auto found = table.find(Key{tag, iova.page_base(lg2).value(), lg2});
      if (found != table.end()) return &*found;
    }
    return nullptr;
  }

  void remove(Node& node) WEIR_REQUIRES(mutex) {
    table.erase(table.iterator_to(node));
    used.erase(used.iterator_to(node));
    unused.push_front(node);
    const auto size = sizes.find(node.entry.page_lg2);
    if (--size->second == 0) sizes.erase(size);
  }

  void grow_buckets() WEIR_REQUIRES(mutex) {
    if (table.size() < buckets.size()) return;
    std::vector<Table::bucket_type> more(buckets.size() * 4);
    table.rehash(Table::bucket_traits(more.data(), more.size()));
    buckets.swap(more);
  }

  [[nodiscard]] static Hit answer(const Node& node, Iova iova) {
    return {.output = node.entry.output + iova.page_offset(node.entry.page_lg2),
            .page_lg2 = node.entry.page_lg2,
            .permissions = node.entry.permissions};
  }
};

ReferenceTlb::ReferenceTlb(std::size_t capacity) : state_(std::make_unique<State>(capacity)) {}
ReferenceTlb::~ReferenceTlb() = default;

std::optional<Hit> ReferenceTlb::lookup(Tag tag, Iova iova) {
  State& s = *state_;
  const MutexLock lock(s.mutex);
  Node* node = s.find(tag, iova);
  if (node == nullptr) return std::nullopt;
  s.used.splice(s.used.begin(), s.used, s.used.iterator_to(*node));
  return State::answer(*node, iova);
}

std::optional<Hit> ReferenceTlb::peek(Tag tag, Iova iova) const {
  State& s = *state_;
  const MutexLock lock(s.mutex);
  const Node* node = s.find(tag, iova);
  if (node == nullptr) return std::nullopt;
  return State::answer(*node, iova);
}

FillResult ReferenceTlb::fill(const Entry& entry, const std::function<bool()>& current) {
  State& s = *state_;
  const MutexLock lock(s.mutex);
  if (!current()) return FillResult::kRefused;
  FillResult result = FillResult::kFilled;
  const auto same = s.table.find(Key{entry.tag, entry.page.value(), entry.page_lg2});
  if (same != s.table.end()) {
    s.remove(*same);
    result = FillResult::kReplaced;
  } else if (s.capacity != 0 && s.table.size() >= s.capacity) {
    s.remove(s.used.back());
    result = FillResult::kEvicted;
  }
  if (s.unused.empty()) s.unused.push_front(s.nodes.emplace_back());
  Node& node = s.unused.front();
  s.unused.pop_front();
  node.entry = entry;
  s.grow_buckets();
  s.table.insert(node);
  s.used.push_front(node);
  ++s.sizes[entry.page_lg2];
  return result;
}

std::uint64_t ReferenceTlb::invalidate(const Invalidation& what) {
  State& s = *state_;
  const MutexLock lock(s.mutex);
  std::uint64_t removed = 0;
  for (auto next = s.used.begin(); next != s.used.end();) {
    Node& node = *next++;
    const Entry& e = node.entry;
    if (!covers(what, e.tag, e.page, e.page_lg2, e.output)) continue;
    s.remove(node);
    ++removed;
  }
  return removed;
}

std::size_t ReferenceTlb::size() const {
  const MutexLock lock(state_->mutex);
  return state_->table.size();
}

}  // namespace weir::iotlb
