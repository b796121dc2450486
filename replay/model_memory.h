// SPDX-License-Identifier: Apache-2.0
//
// The memory of the model machine that a trace is replayed on. Two parts: the traced guest's own
// RAM, which exists only as a range that translations may land in (nothing is ever read or written
// there: a trace has addresses, no data), and above it, where no traced guest reaches, the pages
// that the model driver keeps its tables and its queue in.
//
// For one thread, but for memory(), which is shared with the Iommu. Must outlive whatever was made
// from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/address.h"
#include "base/guest_memory.h"
#include "base/result.h"
#include "pagetables/physical_memory.h"

namespace weir::replay {

class ModelMemory {
 public:
  // The guest's RAM is [0, kTables); a unit for it needs 48 address bits.
  static constexpr Gpa kTables{std::uint64_t{1} << 46};
  // Reserved, not used: pages cost memory once they are written.
  static constexpr std::uint64_t kMostTableBytes = std::uint64_t{1} << 30;

  // Refused, in one sentence, where the host gives no address space.
  [[nodiscard]] static Result<ModelMemory, std::string> create();

  ModelMemory(ModelMemory&&) noexcept;
  ModelMemory& operator=(ModelMemory&&) noexcept;
  ~ModelMemory();

  [[nodiscard]] std::shared_ptr<const GuestMemory> memory() const;
  [[nodiscard]] const pagetables::PhysicalMemory& physical() const;

  // A zeroed 4 KiB page; nothing when there is none left.
  [[nodiscard]] std::optional<Gpa> allocate_page();

 private:
  struct State;
  explicit ModelMemory(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace weir::replay
