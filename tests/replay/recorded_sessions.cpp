// SPDX-License-Identifier: Apache-2.0
#include "tests/replay/recorded_sessions.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "replay/trace_recorder.h"
#include "replay/viommu_driver.h"
#include "tests/vtd/whole_machine.h"
#include "vendors/amdvi/ivrs.h"
#include "vendors/amdvi/unit.h"
#include "vendors/virtio_iommu/unit.h"
#include "vendors/virtio_iommu/viot.h"

namespace weir::replay::test {
namespace {

constexpr std::uint16_t kSid = 0x20, kOther = 0x28;
constexpr std::uint64_t kPages = 64;  // that the guest maps, from kFirst on
constexpr std::uint64_t kFirst = 0x10000000;
constexpr std::uint64_t kTarget = 0x400000;  // where they lie in memory

// What a guest and its devices do, whatever the front end is.
struct Driver {
  std::function<void(std::uint64_t page, unsigned permissions)> map;  // 0: take it away
  std::function<void(std::uint64_t page)> flush;
  std::function<void()> flush_all;
  std::function<DmaPort&(std::uint16_t sid)> port;
};

void run(Iommu& iommu, const Driver& guest, const Session& session,
         const DmaAttributes& attributes = kPlainDma) {
  std::mt19937_64 random(session.seed);
  const auto below = [&random](std::uint64_t n) { return random() % n; };
  std::vector<Pin> pins;
  std::array<std::byte, 6000> data{};
  for (int step = 0; step < session.steps; ++step) {
    DmaPort& port = guest.port(below(4) == 0 ? kOther : kSid);
    const std::uint64_t page = below(kPages);
    const Iova iova(kFirst + page * kPageSize + below(500) * 8);
    switch (below(20)) {
      case 0:
      case 1:
        guest.map(page, static_cast<unsigned>(below(4)));
        guest.flush(page);
        break;
      case 2:
        guest.map(page, 3);  // lazy: nobody is told
        break;
      case 3:
        if (below(8) == 0) guest.flush_all();
        break;
      case 4:
        (void)port.fetch_add(iova, 1, attributes);
        break;
      case 5:
        (void)port.write(Iova(0xfee01000), std::span(data).first(below(2) == 0 ? 4 : 3));
        break;
      case 6:
        if (auto pin = port.map(iova, 1 + below(9000), Access::kWrite, attributes))
          pins.push_back(std::move(*pin));
        break;
      case 7:
        if (!pins.empty()) pins.erase(pins.begin());
        break;
      case 8:
        iommu.poll();
        break;
      case 9:
        if (below(16) == 0) {
          (void)iommu.set_bus_master(port.requester(), false);
          (void)port.read(iova, std::span(data).first(8), attributes);
          (void)iommu.set_bus_master(port.requester(), true);
          (void)iommu.reset_function(port.requester());
        }
        break;
      case 10:
        (void)iommu.resolve_msi(port.requester(), 0xfee02000, 0x41);
        (void)iommu.send_msi(port.requester(), {0xfee02000, 0x42});
        (void)port.fetch_add(iova + 1, 1, attributes);
        (void)port.read(Iova(~std::uint64_t{0}), std::span(data).first(2), attributes);
        (void)port.peek(iova, Access::kRead, attributes);
        break;
      case 11: {
        DmaPort::Burst burst(port);
        for (int i = 0; i < 5; ++i)
          (void)burst.translate(iova, 8, i % 2 == 0 ? Access::kRead : Access::kWrite, attributes);
        break;
      }
      case 12:
        if (below(8) == 0)
          (void)iommu.host_map_changed({Gpa(kTarget), Gpa(kTarget + below(0x100000))});
        break;
      default:
        if (below(2) == 0)
          (void)port.read(iova, std::span(data).first(1 + below(data.size())), attributes);
        else
          (void)port.write(iova, std::span(data).first(1 + below(data.size())), attributes);
        break;
    }
  }
}

[[nodiscard]] std::unique_ptr<TraceRecorder> recorder_to(const std::string& path,
                                                         const Clock& clock) {
  auto made = TraceRecorder::create(path, &clock);
  EXPECT_TRUE(made) << (made ? "" : made.error().to_string());
  return std::move(*made);
}

// Into the file with all of it, ports and pins being gone.
[[nodiscard]] Stats finish(TraceRecorder& recorder, const Iommu& iommu) {
  const Stats books = iommu.stats();
  const auto finished = recorder.finish(books);
  EXPECT_TRUE(finished) << (finished ? "" : finished.error().to_string());
  return books;
}

}  // namespace

// ---- VT-d

Stats record_vtd_legacy(const std::string& path, const Session& session) {
  const TickingClock clock;
  const auto recorder = recorder_to(path, clock);
  vtd::test::WholeMachine machine(vtd::profile::legacy(), {.entries = 64}, &recorder->clock(),
                                  recorder.get());
  machine.start_queue();
  const std::uint64_t root = machine.page(), contexts = machine.page(), tables = machine.page();
  machine.put(root, contexts | 1);
  machine.put(contexts + kSid * 16 + 8, 0x102);
  machine.put(contexts + kSid * 16, tables | 1);
  machine.writeq(0x20, root);
  machine.command(vtd::test::WholeMachine::kSrtp);
  machine.command(vtd::test::WholeMachine::kTe);
  run(machine.iommu(),
      {.map =
           [&](std::uint64_t page, unsigned permissions) {
             machine.put(machine.entry_for(tables, 4, kFirst + page * kPageSize, 3),
                         permissions == 0 ? 0 : (kTarget + page * kPageSize) | permissions);
           },
       .flush =
           [&](std::uint64_t page) {
             // Nothing is expected: a pin may hold the wait up.
             (void)machine.post_unwaited(0x100f2, (kFirst + page * kPageSize) | 0x40);
           },
       .flush_all = [&] { (void)machine.post_unwaited(0xd2, 0); },
       .port = [&](std::uint16_t sid) -> DmaPort& { return machine.device(sid); }},
      session);
  (void)machine.take_faults_loosely();
  return finish(*recorder, machine.iommu());
}

Stats record_threads(const std::string& path, const Session& session) {
  const TickingClock clock;
  const auto recorder = recorder_to(path, clock);
  vtd::test::WholeMachine machine(vtd::profile::legacy(), {.entries = 64}, &recorder->clock(),
                                  recorder.get());
  machine.start_queue();
  const std::uint64_t root = machine.page(), contexts = machine.page(), tables = machine.page();
  machine.put(root, contexts | 1);
  for (const std::uint16_t sid : {kSid, kOther}) {
    machine.put(contexts + sid * 16 + 8, 0x102);
    machine.put(contexts + sid * 16, tables | 1);
  }
  machine.writeq(0x20, root);
  machine.command(vtd::test::WholeMachine::kSrtp);
  machine.command(vtd::test::WholeMachine::kTe);
  std::vector<std::thread> devices;
  std::atomic<int> running{2};
  for (const std::uint16_t sid : {kSid, kOther})
    devices.emplace_back([&port = machine.device(sid), &session, &running, sid] {
      std::mt19937_64 random(session.seed + sid);
      std::array<std::byte, 6000> data{};
      for (int step = 0; step < session.steps; ++step) {
        const Iova iova(kFirst + random() % kPages * kPageSize + random() % 4000);
        const auto some = std::span(data).first(1 + random() % data.size());
        if (random() % 2 == 0)
          (void)port.read(iova, some);
        else
          (void)port.write(Iova(random() % 8 == 0 ? 0xfee01000 : iova.value()), some.first(1));
        if (random() % 16 == 0)
          if (const auto pin = port.map(iova, 100, Access::kRead)) continue;
      }
      // Relaxed: only that it stops some time.
      running.fetch_sub(1, std::memory_order_relaxed);
    });
  std::mt19937_64 random(session.seed);
  // Relaxed: as above.
  for (int step = 0; running.load(std::memory_order_relaxed) != 0; ++step) {
    const std::uint64_t page = random() % kPages;
    machine.put(machine.entry_for(tables, 4, kFirst + page * kPageSize, 3),
                random() % 8 == 0 ? 0 : (kTarget + page * kPageSize) | (1 + random() % 3));
    (void)machine.post_unwaited(0x100f2, kFirst + page * kPageSize);
    if (step % 64 == 0) machine.iommu().poll();
  }
  for (std::thread& device : devices) device.join();
  return finish(*recorder, machine.iommu());
}

Stats record_vtd_first_stage(const std::string& path, const Session& session) {
  const TickingClock clock;
  const auto recorder = recorder_to(path, clock);
  vtd::test::WholeMachine machine(vtd::profile::full(), {}, &recorder->clock(), recorder.get());
  machine.start_queue();
  const std::uint64_t root = machine.page(), contexts = machine.page(), tables = machine.page(),
                      directory = machine.page(), pasids = machine.page();
  // PASIDs 0 and 5, both with the first-stage tables of domain 1.
  for (const unsigned pasid : {0U, 5U}) {
    machine.put(pasids + pasid * 64 + 16, tables);
    machine.put(pasids + pasid * 64 + 8, 1 | 1 << 23);  // DID, PWSNP
    machine.put(pasids + pasid * 64, 0x41);
  }
  machine.put(directory, pasids | 1);
  machine.put(contexts + kSid * 32, directory | 0x09);
  machine.put(root, contexts | 1);
  machine.writeq(0x20, root | 0x400);
  machine.command(vtd::test::WholeMachine::kSrtp);
  machine.command(vtd::test::WholeMachine::kTe);
  const Driver driver{
      .map =
          [&](std::uint64_t page, unsigned permissions) {
            machine.put(machine.entry_for(tables, 4, kFirst + page * kPageSize, 7),
                        permissions == 0 ? 0
                                         : (kTarget + page * kPageSize) | 5 |
                                               (permissions == 1 ? 0 : 2));
          },
      .flush =
          [&](std::uint64_t page) {
            (void)machine.post_unwaited(0x10036, kFirst + page * kPageSize);
          },
      .flush_all = [&] { (void)machine.post_unwaited(0x10026, 0); },
      .port = [&](std::uint16_t sid) -> DmaPort& { return machine.device(sid); }};
  run(machine.iommu(), driver, session);
  run(machine.iommu(), driver, {session.seed + 1, session.steps}, {.pasid = Pasid{5}});
  return finish(*recorder, machine.iommu());
}

// ---- AMD-Vi

Stats record_amdvi(const std::string& path, const Session& session) {
  constexpr std::uint64_t kBase = 0xfed80000, kRam = std::uint64_t{8} << 20;
  constexpr std::uint64_t kDeviceTable = 0x200000, kRing = 0x20000, kLog = 0x21000,
                          kSemaphore = 0x22000, kRoot = 0x30000;
  const TickingClock clock;
  const auto recorder = recorder_to(path, clock);
  auto words = std::make_unique<std::uint64_t[]>(kRam / 8);
  const auto memory = std::make_shared<GuestMemory>(
      GuestMemory::single(Hpa(0), std::as_writable_bytes(std::span(words.get(), kRam / 8))));
  std::map<std::uint16_t, std::unique_ptr<DmaPort>> ports;
  Iommu iommu({.memory = memory, .clock = &recorder->clock(), .recorder = recorder.get()});
  const amdvi::Options options = amdvi::options_for(amdvi::Profile::kV1);
  const Coverage everything{{{.register_base = kBase, .rest_of_segment = true}}};
  const auto table = amdvi::build_ivrs(everything, {.unit = options});
  EXPECT_TRUE(table && iommu.use_tables(amdvi::ivrs_parser(), *table));
  auto& unit = iommu.add_unit<amdvi::Unit>(kBase, options);
  const auto put = [&](std::uint64_t at, std::uint64_t word) {
    EXPECT_TRUE(memory->store64(Hpa(at), word));
  };
  // Three levels; the two upper ones lead to one table each.
  constexpr std::uint64_t kRw = std::uint64_t{3} << 61;
  put(kRoot, (kRoot + 0x1000) | 1 | 2 << 9 | kRw);
  put(kRoot + 0x1000 + (kFirst >> 21 & 0x1ff) * 8, (kRoot + 0x2000) | 1 | 1 << 9 | kRw);
  put(kDeviceTable + kSid * 32 + 8, 1);
  put(kDeviceTable + kSid * 32, kRoot | 3 << 9 | 3 | kRw);
  unit.set_msi(Msi{0xfee00000, 0x31});
  unit.write_register(0x00, 8, kDeviceTable | 0x1ff);
  unit.write_register(0x08, 8, kRing | std::uint64_t{8} << 56);
  unit.write_register(0x10, 8, kLog | std::uint64_t{8} << 56);
  unit.write_register(0x18, 8, 0x100d);
  std::uint64_t tail = 0, sequence = 0;
  const auto post = [&](std::uint64_t low, std::uint64_t high) {
    for (const auto& [a, b] : {std::pair{low, high},
                               std::pair{std::uint64_t{1} << 60 | kSemaphore | 1, ++sequence}}) {
      put(kRing + tail, a), put(kRing + tail + 8, b);
      tail = (tail + 16) % 4096;
    }
    unit.write_register(0x2008, 4, tail);
    // The driver reads its log.
    unit.write_register(0x2010, 4, unit.read_register(0x2018, 4));
  };
  run(iommu,
      {.map =
           [&](std::uint64_t page, unsigned permissions) {
             put(kRoot + 0x2000 + ((kFirst >> 12) + page) % 512 * 8,
                 permissions == 0 ? 0
                                  : (kTarget + page * kPageSize) | 1 |
                                        std::uint64_t{permissions} << 61);
           },
       .flush =
           [&](std::uint64_t page) {
             post(std::uint64_t{3} << 60 | std::uint64_t{1} << 32, kFirst + page * kPageSize);
           },
       .flush_all =
           [&] { post(std::uint64_t{3} << 60 | std::uint64_t{1} << 32, 0x7ffffffffffff001); },
       .port = [&](std::uint16_t sid) -> DmaPort& {
         auto& port = ports[sid];
         if (port == nullptr) port = iommu.attach({.function = Requester::from_sid(sid)}).value();
         return *port;
       }},
      session);
  ports.clear();
  return finish(*recorder, iommu);
}

// ---- virtio-iommu

Stats record_virtio(const std::string& path, const Session& session) {
  constexpr std::uint64_t kRam = std::uint64_t{16} << 20, kUnit = 0xfeb00000;
  const TickingClock clock;
  const auto recorder = recorder_to(path, clock);
  auto words = std::make_unique<std::uint64_t[]>(kRam / 8);
  const auto memory = std::make_shared<GuestMemory>(
      GuestMemory::single(Hpa(0), std::as_writable_bytes(std::span(words.get(), kRam / 8))));
  const pagetables::PhysicalMemory physical(memory);
  std::map<std::uint16_t, std::unique_ptr<DmaPort>> ports;
  Iommu iommu({.memory = memory, .clock = &recorder->clock(), .recorder = recorder.get()});
  const auto table = virtio_iommu::build_viot(
      {.units = {kUnit},
       .ranges = {{kUnit, Requester::from_sid(0), Requester::from_sid(0xff), 0}}});
  EXPECT_TRUE(iommu.use_tables(virtio_iommu::viot_parser(), table));
  virtio_iommu::Options options;
  for (const std::uint16_t sid : {kSid, kOther})
    options.endpoints.push_back({.requester = Requester::from_sid(sid), .id = sid});
  auto& unit = iommu.add_unit<virtio_iommu::Unit>(kUnit, options);
  auto driver = ViommuDriver::create(unit.device(), physical, Gpa(0x100000), {});
  EXPECT_TRUE(driver);
  EXPECT_EQ((*driver)->attach(1, kSid), 0);
  run(iommu,
      {.map =
           [&](std::uint64_t page, unsigned permissions) {
             const std::uint64_t first = kFirst + page * kPageSize;
             if (permissions == 0) return;
             (void)(*driver)->unmap(1, first, first + 0xfff);
             (void)(*driver)->map(1, first, first + 0xfff, kTarget + page * kPageSize,
                                  permissions);
           },
       .flush =
           [&](std::uint64_t page) {
             const std::uint64_t first = kFirst + page * kPageSize;
             if (page % 3 == 0) (void)(*driver)->unmap(1, first, first + 0xfff);
             (void)(*driver)->take_events();
           },
       .flush_all =
           [&] {
             (void)(*driver)->detach(1, kSid);
             (void)(*driver)->attach(1, kSid);
           },
       .port = [&](std::uint16_t sid) -> DmaPort& {
         auto& port = ports[sid];
         if (port == nullptr) port = iommu.attach({.function = Requester::from_sid(sid)}).value();
         return *port;
       }},
      session);
  ports.clear();
  return finish(*recorder, iommu);
}

// ---- Device TLBs

namespace {

// Acknowledges from inside, or when told to.
class Device final : public AtsDevice {
 public:
  explicit Device(DmaPort& port) : port_(port) {}
  void on_invalidate(const AtsInvalidation& what) override {
    latest = what.id;
    if (!at_once) return;
    EXPECT_TRUE(port_.acknowledge_invalidation(what.id));
  }
  bool at_once = true;
  std::uint32_t latest = 0;

 private:
  DmaPort& port_;
};

}  // namespace

Stats record_device_tlb(const std::string& path) {
  const TickingClock clock;
  const auto recorder = recorder_to(path, clock);
  vtd::Options options;
  options.device_tlb = true;
  vtd::test::WholeMachine machine(options, {}, &recorder->clock(), recorder.get());
  machine.start_queue();
  const std::uint64_t root = machine.page(), contexts = machine.page(), tables = machine.page();
  machine.put(root, contexts | 1);
  machine.put(contexts + kSid * 16 + 8, 0x102);
  machine.put(contexts + kSid * 16, tables | 5);  // TT=01
  machine.writeq(0x20, root);
  machine.command(vtd::test::WholeMachine::kSrtp);
  machine.command(vtd::test::WholeMachine::kTe);
  machine.put(machine.entry_for(tables, 4, kFirst, 3), kTarget | 3);
  DmaPort& port = machine.device(kSid);
  const auto device = std::make_shared<Device>(port);
  port.set_ats_device(device);
  // Whether the wait behind it has completed.
  const auto invalidate = [&] {
    const std::uint64_t status = machine.post_unwaited(0x3 | std::uint64_t{kSid} << 32, kFirst);
    return status == machine.wait_serial();
  };
  EXPECT_EQ(port.request_translation(Iova(kFirst)).status, AtsStatus::kSuccess);
  EXPECT_TRUE(port.translate(Iova(kTarget), 8, Access::kRead,
                             {.address_type = AddressType::kTranslated}));
  EXPECT_TRUE(invalidate());
  device->at_once = false;
  EXPECT_FALSE(invalidate());
  EXPECT_TRUE(port.acknowledge_invalidation(device->latest));
  EXPECT_EQ(machine.wait_status(), machine.wait_serial());
  EXPECT_FALSE(invalidate());
  // A second of silence, by the clock.
  for (int i = 0; i < 1'000'100; i += 100) {
    for (int tick = 0; tick < 99; ++tick) (void)clock.now();
    machine.iommu().poll();
  }
  EXPECT_EQ(machine.iommu().stats().device_tlb_timeouts, 1U);
  port.set_ats_device(nullptr);
  return finish(*recorder, machine.iommu());
}

}  // namespace weir::replay::test
