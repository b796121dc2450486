// SPDX-License-Identifier: Apache-2.0
//
// How the structures of a DMAR table and their scopes are told apart, measured and sealed.
#include <array>
#include <cstddef>
#include <cstring>
#include <utility>

#include "vendors/vtd/dmar_fields.h"

namespace weir::acpi {
namespace {

namespace dmar = vtd::dmar;
using Bytes = std::span<const std::byte>;

template <typename T>
[[nodiscard]] T get(Bytes bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

[[nodiscard]] Failure<std::string> wrong(const char* cause) { return Failure{std::string(cause)}; }

// By the number of their type.
constexpr std::array<std::string_view, 6> kScopes = {"",        "endpoint", "sub_hierarchy",
                                                     "io_apic", "hpet",     "namespace_device"};
constexpr std::array<std::string_view, 8> kStructures = {"DRHD", "RMRR", "ATSR", "RHSA",
                                                         "ANDD", "SATC", "SIDP", "unknown"};
constexpr std::array<std::string_view, 8> kWords = {"remapping unit",
                                                    "reserved memory region",
                                                    "list of root ports",
                                                    "affinity of a unit",
                                                    "named device",
                                                    "list of integrated devices with ATS",
                                                    "list of device properties",
                                                    "structure"};
constexpr std::size_t kKnown = kStructures.size() - 1;

template <std::size_t I = 0>
[[nodiscard]] dmar::Structure make_nth(std::size_t index) {
  if constexpr (I + 1 == std::variant_size_v<dmar::Structure>) {
    return dmar::Unknown{};
  } else {
    if (index == I) return std::variant_alternative_t<I, dmar::Structure>{};
    return make_nth<I + 1>(index);
  }
}

}  // namespace

Result<std::size_t, std::string> Framing<dmar::Scope>::bytes(Bytes from) {
  if (from.size() < dmar::scope::kPath) return wrong("device scope header is cut off");
  const std::size_t length = get<std::uint8_t>(from, dmar::scope::kLength);
  if (length < dmar::scope::kPath + dmar::scope::kStepBytes)
    return wrong("device scope is too short for a path");
  if (length > from.size()) return wrong("device scope runs past the structure it is in");
  return length;
}

dmar::Scope Framing<dmar::Scope>::make(Bytes from) {
  return {.type = get<std::uint8_t>(from, dmar::scope::kType)};
}

Result<Done, std::string> Framing<dmar::Scope>::seal(const dmar::Scope& s,
                                                     std::span<std::byte> made) {
  made[dmar::scope::kType] = static_cast<std::byte>(s.type);
  return put_length<std::uint8_t>(made, dmar::scope::kLength);
}

std::string_view Framing<dmar::Scope>::kind(const dmar::Scope& s) {
  return dmar::is_known_scope(s.type) ? kScopes[s.type] : "unknown";
}

std::optional<dmar::Scope> Framing<dmar::Scope>::of(std::string_view kind) {
  for (std::size_t i = 1; i < kScopes.size(); ++i)
    if (kScopes[i] == kind) return dmar::Scope{.type = static_cast<std::uint8_t>(i)};
  if (kind == "unknown") return dmar::Scope{.type = 0};
  return std::nullopt;
}

Result<std::size_t, std::string> Framing<dmar::Structure>::bytes(Bytes from) {
  if (from.size() < dmar::structure::kBytes) return wrong("structure header is cut off");
  const std::size_t length = get<std::uint16_t>(from, dmar::structure::kLength);
  if (length < dmar::structure::kBytes) return wrong("structure is shorter than its own header");
  if (length > from.size()) return wrong("structure runs past the end of the table");
  return length;
}

dmar::Structure Framing<dmar::Structure>::make(Bytes from) {
  return make_nth(get<std::uint16_t>(from, dmar::structure::kType));
}

Result<Done, std::string> Framing<dmar::Structure>::seal(const dmar::Structure& s,
                                                         std::span<std::byte> made) {
  // The order of the alternatives is that of the types.
  if (s.index() < kKnown) {
    const auto type = static_cast<std::uint16_t>(s.index());
    std::memcpy(made.data() + dmar::structure::kType, &type, sizeof type);
  }
  return put_length<std::uint16_t>(made, dmar::structure::kLength);
}

std::string_view Framing<dmar::Structure>::kind(const dmar::Structure& s) {
  return kStructures[s.index()];
}

std::string_view Framing<dmar::Structure>::words(const dmar::Structure& s) {
  return kWords[s.index()];
}

std::optional<dmar::Structure> Framing<dmar::Structure>::of(std::string_view kind) {
  for (std::size_t i = 0; i < kStructures.size(); ++i)
    if (kStructures[i] == kind) return make_nth(i);
  return std::nullopt;
}

}  // namespace weir::acpi
