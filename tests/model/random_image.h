// SPDX-License-Identifier: Apache-2.0
//
// Small worlds by chance: tables of one format, or of one over another, that are almost right, and
// requests aimed at them. Everything follows from the seed. For one thread per world.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "tests/model/paged_image.h"
#include "tests/model/random.h"
#include "tests/model/translate.h"

namespace weir::model {

enum class FormatKind : std::uint8_t { kVtdSecondStage, kVtdFirstStage, kAmdV2, kAmdV1 };
inline constexpr FormatKind kFormatKinds[] = {FormatKind::kVtdSecondStage,
                                              FormatKind::kVtdFirstStage, FormatKind::kAmdV2,
                                              FormatKind::kAmdV1};

[[nodiscard]] std::string_view to_string(FormatKind kind);

// Levels, widths, capabilities and the requester's rights by chance; the root is left at 0.
[[nodiscard]] Format random_format(FormatKind kind, Random& random);

// An input that was mapped before anything was broken.
struct Target {
  std::uint64_t input = 0;
  unsigned page_lg2 = 12;  // of the upper, or only, stage's leaf
};

struct World {
  explicit World(std::size_t pages) : image(pages) {}

  PagedImage image;
  Format upper;  // the only stage where there is no lower
  std::optional<Format> lower;
  std::vector<Target> targets;  // never empty

  // What the oracle says.
  [[nodiscard]] Verdict expect(const Ask& ask) const;
};

[[nodiscard]] World random_world(std::uint64_t seed, FormatKind upper,
                                 std::optional<FormatKind> lower = std::nullopt);

// Mostly within a target, sometimes beside it, sometimes beyond all reach.
[[nodiscard]] Ask random_ask(const World& world, Random& random);

}  // namespace weir::model
