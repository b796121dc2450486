// SPDX-License-Identifier: Apache-2.0
#include "tests/compare/machine.h"

#include <algorithm>
#include <cstring>

namespace weir::compare {

using model::PagedImage;

namespace {
constexpr std::size_t kWords = PagedImage::kPageBytes / 8;
}

class Machine::Target : public MemoryTarget {
 public:
  explicit Target(std::uint64_t* words) : words_(words) {}

  bool read(std::uint64_t offset, std::span<std::byte> to) override {
    std::memcpy(to.data(), reinterpret_cast<const std::byte*>(words_) + offset, to.size());
    return true;
  }
  bool write(std::uint64_t offset, std::span<const std::byte> from) override {
    plainly_stored_ = true;
    std::memcpy(reinterpret_cast<std::byte*>(words_) + offset, from.data(), from.size());
    return true;
  }
  std::optional<bool> compare_exchange(std::uint64_t offset, std::uint64_t& expected,
                                       std::uint64_t desired) override {
    std::uint64_t& word = words_[offset / 8];
    if (word != expected) {
      expected = word;
      return false;
    }
    word = desired;
    return true;
  }
  [[nodiscard]] bool plainly_stored() const { return plainly_stored_; }

 private:
  std::uint64_t* words_;
  bool plainly_stored_ = false;
};

Machine::Machine(const PagedImage& image, Backing backing)
    : pages_(image.page_count()),
      words_(std::make_unique_for_overwrite<std::uint64_t[]>(pages_ * kWords)) {
  refresh(image, kWords);
  // One region for each run of pages that are alike.
  std::vector<MemoryRegion> regions;
  for (std::size_t first = 0; first < pages_;) {
    std::size_t next = first + 1;
    const bool absent = image.absent(first);
    const bool read_only = image.read_only(first);
    while (next < pages_ && image.absent(next) == absent && image.read_only(next) == read_only)
      ++next;
    if (!absent) {
      MemoryRegion region{
          .first = Hpa(first * PagedImage::kPageBytes),
          .size = (next - first) * PagedImage::kPageBytes,
          .permissions = read_only ? Permissions::read_only() : Permissions::read_write()};
      std::uint64_t* words = words_.get() + first * kWords;
      if (backing == Backing::kHostMemory)
        region.host = reinterpret_cast<std::byte*>(words);
      else
        region.target = targets_.emplace_back(std::make_unique<Target>(words)).get();
      regions.push_back(region);
    }
    first = next;
  }
  auto memory = GuestMemory::create(std::move(regions));
  memory_ = std::make_unique<pagetables::PhysicalMemory>(
      std::make_shared<const GuestMemory>(std::move(memory).value()), nullptr, this);
}

Machine::~Machine() = default;

void Machine::refresh(const PagedImage& image, std::size_t words) {
  for (std::size_t page = 0; page < pages_; ++page)
    std::memcpy(words_.get() + page * kWords, image.words(page).data(), words * 8);
}

std::vector<std::uint64_t> Machine::take_reported() {
  std::vector<std::uint64_t> taken;
  taken.swap(reported_);
  std::ranges::sort(taken);
  taken.erase(std::ranges::unique(taken).begin(), taken.end());
  return taken;
}

bool Machine::plainly_stored() const {
  return std::ranges::any_of(targets_, [](const auto& target) { return target->plainly_stored(); });
}

std::optional<std::uint64_t> Machine::differs_at(const PagedImage& image) const {
  for (std::size_t page = 0; page < pages_; ++page) {
    const auto was = image.words(page);
    const std::uint64_t* now = words_.get() + page * kWords;
    if (std::memcmp(was.data(), now, PagedImage::kPageBytes) == 0) continue;
    for (std::size_t n = 0; n < kWords; ++n)
      if (was[n] != now[n]) return page * PagedImage::kPageBytes + n * 8;
  }
  return std::nullopt;
}

void Machine::on_dirty(Gpa first, std::uint64_t size) {
  for (std::uint64_t done = 0; done < size; done += 8) reported_.push_back(first.value() + done);
}

}  // namespace weir::compare
