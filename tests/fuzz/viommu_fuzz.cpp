// SPDX-License-Identifier: Apache-2.0
//
// A virtio-iommu under libFuzzer: any rings, any requests, any register accesses, between DMA of a
// device. Whatever a guest writes, a call returns, memory that no mapping or bypass opens is not
// reached, what the unit says of an address is what a device meets there, and a reset puts
// everything right.
//
// Built by the preset `fuzz`; ./run tests runs it.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "iommu/iommu.h"
#include "vendors/common/virtio/mmio.h"
#include "vendors/common/virtio/pci.h"
#include "vendors/virtio_iommu/unit.h"

namespace weir::virtio_iommu::fuzz {
namespace {

constexpr std::uint64_t kRamBytes = std::uint64_t{1} << 20;
constexpr std::uint64_t kName = 1;
constexpr std::uint16_t kSid = 0x10;
constexpr std::uint64_t kDesc = 0x1000, kDriver = 0x2000, kDevice = 0x3000, kBuffers = 0x8000,
                        kEvents = 0x5000;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "viommu_fuzz: %s\n", what);
  std::abort();
}

class Everything final : public TableParser {
 public:
  [[nodiscard]] Result<Coverage, TableError> parse(std::span<const std::byte>) const override {
    return Coverage{{UnitCoverage{.register_base = kName, .rest_of_segment = true}}};
  }
};

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  [[nodiscard]] bool empty() const { return left_ == 0; }
  template <typename Word = std::uint8_t>
  Word take() {
    Word word{};
    const std::size_t bytes = std::min(left_, sizeof word);
    if (bytes != 0) std::memcpy(&word, data_, bytes);
    data_ += bytes;
    left_ -= bytes;
    return word;
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

// A few addresses and numbers that requests agree on, so that they meet.
[[nodiscard]] std::uint64_t address(Input& input) {
  const auto byte = input.take();
  const std::uint64_t page = std::uint64_t{byte & 31U} << 12;
  switch (byte >> 5) {
    case 0:
      return page;
    case 1:
      return page | 0xfff;
    case 2:
      return 0xfee00000 + page;
    case 3:
      return ~page;
    case 4:
      return page << 9;
    case 5:
      return page | input.take();
    default:
      return input.take<std::uint64_t>();
  }
}

class World {
 public:
  explicit World(Input& input)
      : words_(std::make_unique<std::uint64_t[]>(kRamBytes / 8)),
        memory_(std::make_shared<GuestMemory>(GuestMemory::single(
            Hpa(0), std::as_writable_bytes(std::span(words_.get(), kRamBytes / 8))))),
        physical_(memory_),
        iommu_({.memory = memory_, .caches = {.entries = 64, .host_map_entries = 0}}) {
    constexpr std::array kTableBytes = {std::byte{1}};
    (void)iommu_.use_tables(Everything{}, kTableBytes);
    const auto flags = input.take();
    Options options;
    options.page_size_mask = (flags & 1) != 0 ? ~0ULL : ~0xfffULL;
    options.boot_bypass = (flags & 2) != 0;
    options.limits = {.domains = 3, .mappings_per_domain = 8, .mappings = 12};
    for (const std::uint16_t sid : {kSid, std::uint16_t{0x18}, std::uint16_t{0x20}})
      options.endpoints.push_back({.requester = Requester::from_sid(sid), .id = sid});
    unit_ = &iommu_.add_unit<Unit>(kName, options);
    mmio_ = std::make_unique<virtio::MmioTransport>(unit_->device());
    pci_ = std::make_unique<virtio::PciTransport>(unit_->device());
    port_ = iommu_.attach({.function = Requester::from_sid(kSid)}).value();
    packed_ = (flags & 4) != 0;
    size_ = (flags & 8) != 0 ? 4 : 64;
    features_ = 1ULL << 32 | 0x77 | (packed_ ? 1ULL << 34 : 0) |
                ((flags & 16) != 0 ? 1ULL << 28 : 0) | ((flags & 32) != 0 ? 1ULL << 29 : 0);
    bring_up();
  }

  void step(Input& input) {
    switch (input.take() % 12) {
      case 0:
        return post_request(input);
      case 1:
        return kick();
      case 2: {
        const std::uint64_t at = input.take<std::uint16_t>() % 0x9000;
        return store(at, input.take<std::uint64_t>());
      }
      case 3:
        return dma(input);
      case 4:
        return mmio_->write(input.take<std::uint16_t>() % 0x220, 4, input.take<std::uint32_t>());
      case 5:
        return pci_->write(input.take<std::uint16_t>() % 0x4100, input.take() % 9,
                           input.take<std::uint64_t>());
      case 6:
        (void)pci_->read(input.take<std::uint16_t>() % 0x4100, input.take() % 9);
        return;
      case 7:
        return mmio_->write(0x124, 1, input.take() % 3);
      case 8:
        pin_.reset();
        if (auto pinned = port_->map(Iova(address(input)), 1 + input.take() % 64, Access::kRead))
          pin_ = std::move(pinned).value();
        return;
      case 9:
        pin_.reset();
        return;
      case 10:
        return post_request(input);
      default:
        return iommu_.poll();
    }
  }

  // Whatever was done: a device reset ends, and a driver that begins anew is served.
  void recover() {
    pin_.reset();
    mmio_->write(0x70, 4, 0);
    iommu_.poll();
    require(mmio_->read(0x70, 4) == 0, "a reset does not end");
    std::memset(words_.get(), 0, 0x10000);
    slot_ = 0;
    index_ = 0;
    bring_up();
    const std::array<std::uint32_t, 5> attach = {1, 1, kSid, 0, 0};
    offer(attach.data(), sizeof attach, 4, 0);
    kick();
    require((mmio_->read(0x70, 4) & 0x40) == 0, "a good driver breaks the device");
    require(load<std::uint8_t>(kBuffers + 512) == 0, "a good request is refused after a reset");
    require(!port_->translate(Iova(0x1000), 1, Access::kRead), "a new domain is not empty");
  }

 private:
  template <typename Word>
  void store(std::uint64_t at, Word word) {
    (void)physical_.write(Gpa(at), std::as_bytes(std::span(&word, 1)));
  }
  template <typename Word>
  [[nodiscard]] Word load(std::uint64_t at) {
    Word word{};
    (void)physical_.read(Gpa(at), std::as_writable_bytes(std::span(&word, 1)));
    return word;
  }
  void write32(std::uint64_t at, std::uint64_t value) { mmio_->write(at, 4, value); }
  void kick() { write32(0x50, 0); }

  void bring_up() {
    write32(0x70, 0);
    write32(0x70, 3);
    for (std::uint32_t word = 0; word < 2; ++word) {
      write32(0x24, word);
      write32(0x20, features_ >> (32 * word) & 0xffffffff);
    }
    write32(0x70, 0xb);
    for (std::uint32_t queue = 0; queue < 2; ++queue) {
      write32(0x30, queue);
      write32(0x38, size_);
      const std::uint64_t shift = queue * kEvents;
      const std::array areas = {kDesc, kDriver, kDevice};
      for (std::size_t i = 0; i < areas.size(); ++i) {
        write32(0x80 + i * 0x10, areas[i] + shift);
        write32(0x84 + i * 0x10, 0);
      }
      write32(0x44, 1);
    }
    write32(0x70, 0xf);
  }

  // A request in two parts, made available as a driver does it, with `twist` in the flags.
  void offer(const void* bytes, std::size_t size, std::uint32_t writable, std::uint16_t twist) {
    const std::uint64_t at = kBuffers + slot_ % 16 * 1024;
    (void)physical_.write(Gpa(at),
                          std::as_bytes(std::span(static_cast<const std::uint8_t*>(bytes), size)));
    const auto head = static_cast<std::uint16_t>(slot_ % size_);
    const auto next = static_cast<std::uint16_t>((slot_ + 1) % size_);
    const bool wrap = slot_ / size_ % 2 == 0;
    const bool next_wrap = (slot_ + 1) / size_ % 2 == 0;
    slot_ += 2;
    const auto describe = [&](std::uint16_t number, std::uint64_t where, std::uint64_t length,
                              std::uint16_t low, std::uint16_t high) {
      store(kDesc + number * 16U, where);
      store(kDesc + number * 16U + 8, static_cast<std::uint32_t>(length));
      store(kDesc + number * 16U + 12, low);
      store(kDesc + number * 16U + 14, high);
    };
    if (packed_) {
      const auto mark = [](bool round) {
        return static_cast<std::uint16_t>(round ? 0x80 : 0x8000);
      };
      describe(next, at + 512, writable, head, static_cast<std::uint16_t>(2 | mark(next_wrap)));
      describe(head, at, size, head, static_cast<std::uint16_t>(1 | mark(wrap) | twist));
    } else {
      describe(head, at, size, static_cast<std::uint16_t>(1 | twist), next);
      describe(next, at + 512, writable, 2, 0);
      store(kDriver + 4 + index_ % size_ * 2, head);
      store(kDriver + 2, static_cast<std::uint16_t>(++index_));
    }
  }

  void post_request(Input& input) {
    std::array<std::uint8_t, 72> bytes{};
    const auto type = static_cast<std::uint8_t>(input.take() % 7);
    bytes[0] = type;
    const auto put = [&bytes](std::size_t at, auto word) {
      std::memcpy(bytes.data() + at, &word, sizeof word);
    };
    put(4, std::uint32_t{input.take()} % 4);
    std::size_t size = 20;
    if (type == 3 || type == 4) {
      const std::uint64_t first = address(input);
      put(8, first);
      put(16, input.take() % 4 == 0 ? address(input) : first | 0xfff);
      put(24, type == 3 ? address(input) : 0);
      put(32, type == 3 ? std::uint32_t{input.take()} % 9 : 0);
      size = type == 3 ? 36 : 28;
    } else {
      const std::uint32_t endpoint = 0x10 + input.take() % 4 * 8U;
      put(type == 5 ? 4 : 8, endpoint);
      put(12, type == 1 ? std::uint32_t{input.take()} % 3 : 0);
      if (type == 5) size = 72;
    }
    if (input.take() % 16 == 0) size = input.take() % 73;
    const auto odd = input.take();
    offer(bytes.data(), size,
          type == 5        ? 516
          : (odd & 7) == 0 ? odd
                           : 4,
          (odd & 0x78) == 0 ? std::uint16_t{4} : std::uint16_t{0});
    if ((odd & 0x80) != 0) kick();
  }

  // What the unit says of an address is what a device meets there.
  void dma(Input& input) {
    const Iova iova(address(input));
    const auto kind = input.take();
    const Access access = (kind & 1) != 0 ? Access::kWrite : Access::kRead;
    const auto window = unit_->window(Requester::from_sid(kSid), iova);
    DmaPort::Burst burst(*port_);
    const auto got = burst.translate(iova, 1 + kind % 16, access);
    if (got && got->outcome == Outcome::kInterrupt) return;
    if (got) {
      require(window.has_value(), "reached what the unit says is not there");
      require(window->permissions.allows(access), "reached what is not allowed");
      require(got->gpa == window->output + (iova - window->range.first), "reached another place");
      require(got->length - 1 <= window->range.last - iova, "reached beyond the mapping");
    } else if (window && window->permissions.allows(access)) {
      // Refused although mapped: only because nothing lies behind it, or it is the interrupts'.
      const Fault& fault = got.error();
      require(fault.stage == Stage::kHostMap || fault.reason == FaultReason::kInterruptMalformed,
              "refused what is mapped");
    }
  }

  std::unique_ptr<std::uint64_t[]> words_;
  std::shared_ptr<const GuestMemory> memory_;
  pagetables::PhysicalMemory physical_;
  Iommu iommu_;
  Unit* unit_ = nullptr;
  std::unique_ptr<virtio::MmioTransport> mmio_;
  std::unique_ptr<virtio::PciTransport> pci_;
  std::unique_ptr<DmaPort> port_;
  std::optional<Pin> pin_;
  std::uint64_t features_ = 0;
  bool packed_ = false;
  std::uint16_t size_ = 0;
  std::uint64_t slot_ = 0;   // descriptors handed out
  std::uint64_t index_ = 0;  // split: of the available ring
};

}  // namespace
}  // namespace weir::virtio_iommu::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir::virtio_iommu::fuzz;
  Input input(data, size);
  World world(input);
  for (int i = 0; i < 256 && !input.empty(); ++i) world.step(input);
  world.recover();
  return 0;
}
