// SPDX-License-Identifier: Apache-2.0
#include "plugs/vfio_user/dma_maps.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

namespace weir::vfio_user {
namespace {

// The client has it and does not share it. To ask for it by message would mean to wait for a client
// that may itself be waiting for us.
class Unshared final : public MemoryTarget {
 public:
  bool read(std::uint64_t, std::span<std::byte>) override { return false; }
  bool write(std::uint64_t, std::span<const std::byte>) override { return false; }
};
Unshared unshared;

[[nodiscard]] bool cannot_shrink(int fd) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
}

[[nodiscard]] bool whole_pages(const DmaMap& what) {
  return is_aligned(what.address | what.size | what.offset, kPageLg2) && what.size != 0;
}

}  // namespace

// One map, and the bytes behind it while it lives.
class DmaMaps::Backing {
 public:
  struct File {
    dev_t device = 0;
    ino_t inode = 0;  // 0: no file
    friend bool operator==(const File&, const File&) = default;
  };

  Backing(const DmaMap& what, File file, std::byte* bytes, std::uint64_t serial)
      : what_(what), file_(file), bytes_(bytes), serial_(serial) {}
  ~Backing() {
    if (bytes_ != nullptr) ::munmap(bytes_, what_.size);
  }
  Backing(const Backing&) = delete;
  Backing& operator=(const Backing&) = delete;

  [[nodiscard]] bool is(const DmaMap& what, const File& file) const {
    return what_.address == what.address && what_.size == what.size && file_ == file &&
           what_.flags == what.flags && what_.offset == what.offset;
  }
  [[nodiscard]] std::uint64_t first() const { return what_.address; }
  [[nodiscard]] std::uint64_t last() const { return what_.address + (what_.size - 1); }
  [[nodiscard]] std::uint64_t size() const { return what_.size; }
  [[nodiscard]] std::uint64_t serial() const { return serial_; }

  // The part of it from `first` to `last`.
  [[nodiscard]] MemoryRegion region(std::uint64_t first, std::uint64_t last) const {
    return {.first = Hpa(first),
            .size = last - first + 1,
            .host = bytes_ == nullptr ? nullptr : bytes_ + (first - what_.address),
            .target = bytes_ == nullptr ? &unshared : nullptr,
            .permissions = Permissions::of(dma_map_flag::kRead.is_set(what_.flags),
                                           dma_map_flag::kWrite.is_set(what_.flags))};
  }

 private:
  const DmaMap what_;
  const File file_;
  std::byte* const bytes_;
  const std::uint64_t serial_;  // a newer one is larger
};

int DmaMaps::map(Client client, const DmaMap& what, FileDescriptor file) {
  if (!whole_pages(what) || what.address + (what.size - 1) < what.address) return EINVAL;
  if (what.flags == 0 || (what.flags & ~dma_map_flag::kLayout.defined) != 0) return EINVAL;
  List& own = lists_[client];
  const auto after = own.upper_bound(what.address + (what.size - 1));
  if (after != own.begin() && std::prev(after)->second->last() >= what.address) return EEXIST;
  if (own.size() >= kMostMaps) return ENOSPC;

  Backing::File identity;
  if (file) {
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return errno;
    identity = {status.st_dev, status.st_ino};
    const auto end = static_cast<std::uint64_t>(status.st_size);
    if (what.offset > end || what.size > end - what.offset) return EINVAL;
    if (unsealed_ == UnsealedFiles::kRefuse && !cannot_shrink(file.get())) return EPERM;
  }
  for (const auto& [other, list] : lists_) {
    const auto same = list.find(what.address);
    if (same == list.end() || !same->second->is(what, identity)) continue;
    own.emplace(what.address, same->second);
    return 0;
  }

  std::byte* bytes = nullptr;
  if (file) {
    const int protection = PROT_READ | (dma_map_flag::kWrite.is_set(what.flags) ? PROT_WRITE : 0);
    void* const mapped = ::mmap(nullptr, what.size, protection, MAP_SHARED, file.get(),
                                static_cast<off_t>(what.offset));
    if (mapped == MAP_FAILED) return errno;
    bytes = static_cast<std::byte*>(mapped);
  }
  own.emplace(what.address, std::make_shared<const Backing>(what, identity, bytes, next_serial_++));
  return 0;
}

int DmaMaps::unmap(Client client, std::uint64_t address, std::uint64_t size) {
  const auto list = lists_.find(client);
  if (list == lists_.end()) return ENOENT;
  const auto found = list->second.find(address);
  if (found == list->second.end() || found->second->size() != size) return ENOENT;
  list->second.erase(found);
  return 0;
}

void DmaMaps::unmap_all(Client client) { lists_.erase(client); }

std::size_t DmaMaps::size(Client client) const {
  const auto list = lists_.find(client);
  return list == lists_.end() ? 0 : list->second.size();
}

// A sweep over where maps begin and end, with those that are open in order of age.
std::shared_ptr<const GuestMemory> DmaMaps::memory() const {
  struct Snapshot {
    std::vector<std::shared_ptr<const Backing>> keeps;
    GuestMemory memory;
  };
  struct ByAge {
    bool operator()(const Backing* a, const Backing* b) const { return a->serial() > b->serial(); }
  };
  std::vector<std::shared_ptr<const Backing>> all;
  for (const auto& [client, list] : lists_)
    for (const auto& [address, backing] : list) all.push_back(backing);
  std::ranges::sort(all);
  all.erase(std::ranges::unique(all).begin(), all.end());
  // At an address, what ends there goes first: `second` false is the end, and comes first.
  struct Edge {
    std::uint64_t at;
    bool begins;
    const Backing* of;
  };
  std::vector<Edge> edges;
  for (const auto& one : all) {
    edges.push_back({one->first(), true, one.get()});
    // One that reaches the end of the space has no edge behind it.
    if (one->last() != ~std::uint64_t{0}) edges.push_back({one->last() + 1, false, one.get()});
  }
  std::ranges::sort(edges, [](const Edge& a, const Edge& b) {
    return std::pair(a.at, a.begins) < std::pair(b.at, b.begins);
  });
  std::vector<MemoryRegion> regions;
  std::set<const Backing*, ByAge> open;
  const Backing* shown = nullptr;
  std::uint64_t since = 0;
  const auto show = [&](const Backing* next, std::uint64_t at) {
    if (next == shown) return;
    if (shown != nullptr && at != since) regions.push_back(shown->region(since, at - 1));
    shown = next;
    since = at;
  };
  for (std::size_t i = 0; i < edges.size();) {
    const std::uint64_t at = edges[i].at;
    for (; i < edges.size() && edges[i].at == at; ++i) {
      if (edges[i].begins)
        open.insert(edges[i].of);
      else
        open.erase(edges[i].of);
    }
    show(open.empty() ? nullptr : *open.begin(), at);
  }
  if (shown != nullptr) regions.push_back(shown->region(since, ~std::uint64_t{0}));

  // Disjoint and in order by construction.
  auto snapshot = std::make_shared<Snapshot>(
      Snapshot{std::move(all), GuestMemory::create(std::move(regions)).value()});
  return {snapshot, &snapshot->memory};
}

}  // namespace weir::vfio_user
