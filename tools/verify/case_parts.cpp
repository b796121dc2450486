// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/case_parts.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <optional>
#include <string_view>

#include "base/bits.h"
#include "replay/trace_error.h"

namespace weir::verify {

std::vector<MemoryRun> read_runs(const Fields& fields, const char* key) {
  std::vector<MemoryRun> runs;
  for (const auto& row : fields.hex_rows(key, 2)) {
    const std::uint64_t bytes = (row.size() - 1) * sizeof(std::uint64_t);
    if (!is_aligned(row[0], 3) || row[0] > ~std::uint64_t{0} - bytes) {
      fields.complain(key, "a run begins at an address that is no multiple of 8, or wraps");
    }
    runs.push_back({Gpa(row[0]), {row.begin() + 1, row.end()}});
  }
  return runs;
}

std::string in_words(const DmaResult& result) {
  std::array<char, 64> text{};
  if (const auto* reached = std::get_if<Reached>(&result)) {
    std::snprintf(text.data(), text.size(), "gpa %llx",
                  static_cast<unsigned long long>(reached->gpa.value()));
  } else if (const auto* blocked = std::get_if<Blocked>(&result)) {
    if (blocked->recorded) {
      std::snprintf(text.data(), text.size(), "fault %02Xh recorded", unsigned{blocked->code});
    } else {
      return "blocked, unrecorded";
    }
  } else {
    return "interrupt";
  }
  return text.data();
}

Requester read_bdf(const Fields& fields, const char* key) {
  return parse_bdf(fields, key, fields.text(key));
}

Requester parse_bdf(const Fields& fields, const char* key, const std::string& text) {
  std::string_view rest = text;
  // Takes digits up to `after` (or to the end) off `rest`.
  const auto take = [&rest](std::string_view after, int base, unsigned most) {
    const std::size_t length =
        after.empty() ? rest.size() : std::min(rest.find(after), rest.size());
    unsigned value = 0;
    const std::string digits(rest.substr(0, length));
    const char* const end = digits.data() + digits.size();
    const auto parsed = std::from_chars(digits.data(), end, value, base);
    const bool good = parsed.ec == std::errc{} && parsed.ptr == end && value <= most;
    rest.remove_prefix(std::min(length + after.size(), rest.size()));
    return good ? std::optional(value) : std::nullopt;
  };
  const auto bus = take(":", 16, 0xff);
  const auto device = take(".", 16, 0x1f);
  const auto function = take("", 10, 7);
  constexpr std::size_t kLength = std::string_view("bb:dd.f").size();
  if (text.size() == kLength && bus && device && function) {
    return Requester::from_bdf(*bus, *device, *function);
  }
  fields.complain(key, replay::in_quotes(text) + " is not a device (bb:dd.f)");
  return {};
}

Dma read_access(const Fields& fields) {
  Dma dma;
  dma.requester = read_bdf(fields, "bdf");
  dma.iova = Iova(fields.hex("iova"));
  const std::string direction = fields.text("d");
  if (direction != "r" && direction != "w") fields.complain("d", "is neither \"r\" nor \"w\"");
  dma.access = direction == "w" ? Access::kWrite : Access::kRead;
  dma.size = static_cast<unsigned>(fields.number("n", kPageSize));
  if (dma.size == 0 || dma.iova.page_offset(kPageLg2) + dma.size > kPageSize)
    fields.complain("n", "is not the size of an access inside one page");
  return dma;
}

}  // namespace weir::verify
