// SPDX-License-Identifier: Apache-2.0
#include "replay/played_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace weir::replay {
namespace {

struct Unmap {
  std::uint64_t size = 0;
  void operator()(std::byte* first) const { ::munmap(first, size); }
};
using Mapping = std::unique_ptr<std::byte, Unmap>;

using Page = std::array<std::byte, kPageSize>;

// What stands behind a callback: bytes that somebody has read there, by page.
class SeenTarget final : public MemoryTarget {
 public:
  explicit SeenTarget(Gpa first) : first_(first) {}

  void put(Gpa at, std::span<const std::byte> bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes_[at + i] = bytes[i];
  }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }

  bool read(std::uint64_t offset, std::span<std::byte> to) override {
    for (std::size_t i = 0; i < to.size(); ++i) {
      const auto found = bytes_.find(first_ + offset + i);
      if (found == bytes_.end()) return false;
      to[i] = found->second;
    }
    return true;
  }
  // Nobody recorded whether it took the write.
  bool write(std::uint64_t, std::span<const std::byte>) override { return false; }

 private:
  const Gpa first_;
  std::unordered_map<Gpa, std::byte> bytes_;
};

}  // namespace

struct PlayedMemory::State {
  struct Piece {
    AddressRange<Gpa> range{};
    Mapping bytes;                       // RAM
    std::unique_ptr<SeenTarget> target;  // a callback
  };
  using Pieces = std::map<Gpa, Piece>;  // by the first byte

  [[nodiscard]] Piece* find(Gpa at) {
    auto after = pieces.upper_bound(at);
    if (after == pieces.begin()) return nullptr;
    --after;
    return after->second.range.contains(at) ? &after->second : nullptr;
  }
  [[nodiscard]] bool use(Gpa page) {
    used.insert(page);
    return used.size() + kept.size() <= trace_limits::kPages;
  }

  Pieces pieces;
  Pieces before;  // the last change's, for whoever still uses them
  std::unordered_set<Gpa> used;                          // pages of RAM that hold anything
  std::unordered_map<Gpa, std::unique_ptr<Page>> kept;  // pages that lie in no piece now
  std::size_t target_bytes = 0;
};

PlayedMemory::PlayedMemory() : state_(std::make_unique<State>()) {}
PlayedMemory::~PlayedMemory() = default;

Result<PlayedMemory::Shape, std::string> PlayedMemory::change(const TraceMemory& to) {
  State& s = *state_;
  // Everything that is used goes aside first, and comes back where it still belongs.
  for (const Gpa page : std::exchange(s.used, {})) {
    const State::Piece* piece = s.find(page);
    auto& copy = s.kept[page];
    copy = std::make_unique<Page>();
    std::memcpy(copy->data(), piece->bytes.get() + (page - piece->range.first), kPageSize);
  }
  s.before = std::exchange(s.pieces, {});
  std::vector<MemoryRegion> regions;
  std::vector<pagetables::MemorySlot> slots;
  for (const TraceMemory::Piece& from : to.pieces) {
    const std::uint64_t size = from.range.last - from.range.first + 1;
    State::Piece piece{.range = from.range, .bytes = {}, .target = {}};
    MemoryRegion region{.first = Hpa(from.range.first.value()),
                        .size = size,
                        .permissions = from.permissions};
    if (from.host && from.range.first.page_offset(kPageLg2) == 0) {
      const std::uint64_t whole = (size + kPageSize - 1) & ~(kPageSize - 1);
      void* const bytes = ::mmap(nullptr, whole, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (bytes == MAP_FAILED)
        return Failure{std::string("the host refuses address space for the guest's memory")};
      piece.bytes = Mapping(static_cast<std::byte*>(bytes), Unmap{whole});
      region.host = piece.bytes.get();
    } else if (from.host) {
      return Failure{std::string("memory that does not begin at a page")};
    } else {
      piece.target = std::make_unique<SeenTarget>(from.range.first);
      region.target = piece.target.get();
    }
    regions.push_back(region);
    slots.push_back({.first = from.range.first,
                     .size = size,
                     .to = region.first,
                     .permissions = from.permissions});
    s.pieces.emplace(from.range.first, std::move(piece));
  }
  for (auto it = s.kept.begin(); it != s.kept.end();) {
    State::Piece* piece = s.find(it->first);
    if (piece == nullptr || piece->bytes == nullptr) {
      ++it;
      continue;
    }
    std::memcpy(piece->bytes.get() + (it->first - piece->range.first), it->second->data(),
                kPageSize);
    s.used.insert(it->first);
    it = s.kept.erase(it);
  }
  auto memory = GuestMemory::create(std::move(regions));
  if (!memory) return Failure{memory.error()};
  auto map = pagetables::MemorySlots::create(std::move(slots));
  if (!map) return Failure{map.error()};
  return Shape{std::make_shared<const GuestMemory>(std::move(*memory)),
               std::make_shared<const pagetables::MemorySlots>(std::move(*map))};
}

bool PlayedMemory::put(Gpa at, std::span<const std::byte> bytes) {
  State& s = *state_;
  State::Piece* piece = s.find(at);
  // Nobody can read what lies nowhere, or over the edge.
  if (piece == nullptr || !piece->range.contains(at + (bytes.size() - 1))) return true;
  if (piece->target != nullptr) {
    s.target_bytes -= piece->target->size();
    piece->target->put(at, bytes);
    s.target_bytes += piece->target->size();
    return s.target_bytes <= trace_limits::kPages * 16;
  }
  if (!s.use(at.page_base(kPageLg2))) return false;
  std::memcpy(piece->bytes.get() + (at - piece->range.first), bytes.data(), bytes.size());
  return true;
}

bool PlayedMemory::touched(Gpa at, std::uint64_t size) {
  State& s = *state_;
  for (Gpa page = at.page_base(kPageLg2); page - at.page_base(kPageLg2) < size + kPageSize;
       page = page + kPageSize) {
    if (page > at + (size - 1)) break;
    const State::Piece* piece = s.find(page);
    if (piece != nullptr && piece->bytes != nullptr && !s.use(page)) return false;
  }
  return true;
}

}  // namespace weir::replay
