// SPDX-License-Identifier: Apache-2.0
#include "tests/amdvi/oracle_machine.h"

#include <cstring>

#include "vendors/amdvi/ivrs.h"

namespace weir::amdvi::test {
namespace {

using model::PagedImage;

constexpr std::uint64_t kWords = PagedImage::kPageBytes / 8;
constexpr std::uint64_t kUnitBase = 0xfed80000;
// What the unit itself needs lies where one wrong bit in a table of the world does not lead.
constexpr std::uint64_t kOwn = 0xb5a6996000000, kOwnBytes = 0x10000, kEnd = std::uint64_t{1} << 52;
constexpr std::uint64_t kOwnEntries = 0, kOwnRing = 0x2000, kOwnLog = 0x3000, kOwnGcr3 = 0x4000,
                        kOwnSemaphore = 0x5000;
constexpr std::uint64_t kGv = std::uint64_t{1} << 55, kGiov = std::uint64_t{1} << 54;

[[nodiscard]] Options options_of(const model::X86FirstStage& guest) {
  Options options = options_for(Profile::kFull);
  options.no_execute = guest.no_execute;
  return options;
}

}  // namespace

// Memory for devices, and none for tables.
class OracleMachine::Elsewhere : public MemoryTarget {
 public:
  bool read(std::uint64_t, std::span<std::byte>) override { return false; }
  bool write(std::uint64_t, std::span<const std::byte>) override { return false; }
};

OracleMachine::OracleMachine(const model::World& world, const Attachment& attachment,
                             const CacheOptions& caches)
    : words_(std::make_unique<std::uint64_t[]>(world.image.page_count() * kWords)),
      own_(std::make_unique<std::uint64_t[]>(kOwnBytes / 8)),
      elsewhere_(std::make_unique<Elsewhere>()) {
  const PagedImage& image = world.image;
  std::vector<MemoryRegion> regions;
  const auto nothing = [&](std::uint64_t first, std::uint64_t end) {
    regions.push_back({.first = Hpa(first), .size = end - first, .target = elsewhere_.get()});
  };
  for (std::size_t page = 0; page < image.page_count(); ++page) {
    std::memcpy(words_.get() + page * kWords, image.words(page).data(), PagedImage::kPageBytes);
    const std::uint64_t first = page * PagedImage::kPageBytes;
    if (image.absent(page)) {
      nothing(first, first + PagedImage::kPageBytes);
      continue;
    }
    regions.push_back({.first = Hpa(first),
                       .size = PagedImage::kPageBytes,
                       .host = reinterpret_cast<std::byte*>(words_.get() + page * kWords),
                       .permissions = image.read_only(page) ? Permissions::read_only()
                                                            : Permissions::read_write()});
  }
  nothing(image.page_count() * PagedImage::kPageBytes, kOwn);
  regions.push_back(
      {.first = Hpa(kOwn), .size = kOwnBytes, .host = reinterpret_cast<std::byte*>(own_.get())});
  nothing(kOwn + kOwnBytes, kEnd);
  iommu_ = std::make_unique<Iommu>(IommuConfig{
      .memory = std::make_shared<GuestMemory>(GuestMemory::create(std::move(regions)).value()),
      .clock = &clock_,
      .sinks = {.interrupts = &sinks_, .faults = &sinks_, .dirty = &sinks_, .pins = &sinks_},
      .caches = caches});

  const auto& guest = std::get<model::X86FirstStage>(world.upper);
  const auto& host = std::get<model::AmdV1>(*world.lower);
  const Options options = options_of(guest);
  const Coverage everything{{{.register_base = kUnitBase, .rest_of_segment = true}}};
  const auto table = build_ivrs(everything, {.unit = options});
  EXPECT_TRUE(table && iommu_->use_tables(ivrs_parser(), *table));
  unit_ = &iommu_->add_unit<Unit>(kUnitBase, options);

  const std::uint64_t gcr3 = attachment.gcr3_in_guest.value_or(kOwn + kOwnGcr3);
  if (!attachment.gcr3_in_guest) own(kOwnGcr3 + attachment.pasid * 8) = guest.root | 1;
  const std::uint64_t at = kOwnEntries + kDevice * 32;
  own(at) = 3 | attachment.updates << 7 | host.mode << 9 | host.root | kGv |
            (guest.sign_extended ? 0 : kGiov) | (gcr3 >> 12 & 7) << 58 |
            (attachment.may_read ? kIr : 0) | (attachment.may_write ? kIw : 0);
  own(at + 8) = 7 | (gcr3 >> 15 & 0xffff) << 16 | (gcr3 >> 31 & 0x1fffff) << 43;
  own(at + 16) = std::uint64_t{guest.levels - 4} << 54;

  const auto write = [this](std::uint64_t offset, std::uint64_t value) {
    unit_->write_register(offset, 8, value);
  };
  write(kDevTab, kOwn + kOwnEntries);
  write(kCmdBase, (kOwn + kOwnRing) | kLength256);
  write(kEvtBase, (kOwn + kOwnLog) | kLength256);
  write(kCtrl, kUsual | kGtEn | (attachment.gcr3_in_guest ? kGcr3TrpMode : 0));
  port_ = iommu_->attach({.function = Requester::from_sid(kDevice)}).value();
}

OracleMachine::~OracleMachine() {
  port_.reset();
  iommu_.reset();
}

void OracleMachine::post(std::uint64_t low, std::uint64_t high) {
  own(kOwnRing + tail_) = low;
  own(kOwnRing + tail_ + 8) = high;
  tail_ = (tail_ + 16) % 4096;
  unit_->write_register(kCmdTail, 4, tail_);
}

void OracleMachine::forget_all() {
  post(std::uint64_t{8} << 60, 0);
  post(std::uint64_t{1} << 60 | (kOwn + kOwnSemaphore) | 1, ++sequence_);
  EXPECT_EQ(own(kOwnSemaphore), sequence_);
}

std::vector<Event> OracleMachine::events() {
  std::vector<Event> result;
  const std::uint64_t tail = unit_->read_register(kEvtTail, 4);
  std::uint64_t head = unit_->read_register(kEvtHead, 4);
  for (; head != tail; head = (head + 16) % 4096)
    result.push_back({own(kOwnLog + head), own(kOwnLog + head + 8)});
  unit_->write_register(kEvtHead, 4, head);
  return result;
}

std::optional<std::uint64_t> OracleMachine::differs_at(const PagedImage& image) const {
  for (std::size_t page = 0; page < image.page_count(); ++page) {
    const auto was = image.words(page);
    const std::uint64_t* now = words_.get() + page * kWords;
    if (std::memcmp(was.data(), now, PagedImage::kPageBytes) == 0) continue;
    for (std::size_t n = 0; n < kWords; ++n)
      if (was[n] != now[n]) return page * PagedImage::kPageBytes + n * 8;
  }
  return std::nullopt;
}

}  // namespace weir::amdvi::test
