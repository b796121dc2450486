// SPDX-License-Identifier: Apache-2.0
#include "replay/model_memory.h"

#include <sys/mman.h>

#include <vector>

namespace weir::replay {
namespace {

// Where translations land. Whoever looked for bytes here would find that there are none.
class NoBytes final : public MemoryTarget {
 public:
  bool read(std::uint64_t, std::span<std::byte>) override { return false; }
  bool write(std::uint64_t, std::span<const std::byte>) override { return false; }
};

struct Unmap {
  void operator()(std::byte* first) const { ::munmap(first, ModelMemory::kMostTableBytes); }
};

}  // namespace

struct ModelMemory::State {
  NoBytes guest_ram;
  std::unique_ptr<std::byte, Unmap> tables;
  std::shared_ptr<const GuestMemory> memory;
  std::unique_ptr<const pagetables::PhysicalMemory> physical;
  std::uint64_t used = 0;
};

Result<ModelMemory, std::string> ModelMemory::create() {
  auto state = std::make_unique<State>();
  void* const mapping = ::mmap(nullptr, kMostTableBytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED)
    return Failure{std::string("the host refuses address space for the model's page tables")};
  state->tables.reset(static_cast<std::byte*>(mapping));
  std::vector<MemoryRegion> regions;
  regions.push_back({.first = Hpa(0), .size = kTables.value(), .target = &state->guest_ram});
  regions.push_back(
      {.first = Hpa(kTables.value()), .size = kMostTableBytes, .host = state->tables.get()});
  auto memory = GuestMemory::create(std::move(regions));
  if (!memory) return Failure{memory.error()};
  state->memory = std::make_shared<const GuestMemory>(std::move(memory).value());
  state->physical = std::make_unique<const pagetables::PhysicalMemory>(state->memory);
  return ModelMemory(std::move(state));
}

ModelMemory::ModelMemory(std::unique_ptr<State> state) : state_(std::move(state)) {}
ModelMemory::ModelMemory(ModelMemory&&) noexcept = default;
ModelMemory& ModelMemory::operator=(ModelMemory&&) noexcept = default;
ModelMemory::~ModelMemory() = default;

std::shared_ptr<const GuestMemory> ModelMemory::memory() const { return state_->memory; }
const pagetables::PhysicalMemory& ModelMemory::physical() const { return *state_->physical; }

std::optional<Gpa> ModelMemory::allocate_page() {
  if (state_->used == kMostTableBytes) return std::nullopt;
  const Gpa page = kTables + state_->used;
  state_->used += kPageSize;
  return page;
}

}  // namespace weir::replay
