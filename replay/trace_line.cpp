// SPDX-License-Identifier: Apache-2.0
#include "replay/trace_line.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>

namespace weir::replay {
namespace {

constexpr std::uint64_t kMicros = 1'000'000;

constexpr bool is_digit(char c) { return '0' <= c && c <= '9'; }
constexpr bool is_name_char(char c) { return ('a' <= c && c <= 'z') || is_digit(c) || c == '_'; }

// Takes pieces off the front of a line; a step that does not fit leaves the cursor where it was.
struct Cursor {
  std::string_view line;
  std::size_t at = 0;

  [[nodiscard]] bool done() const { return at == line.size(); }
  bool take(char c) {
    if (done() || line[at] != c) {
      return false;
    }
    ++at;
    return true;
  }
  void skip_spaces() {
    while (take(' ')) {
    }
  }
  // Exactly `digits` decimal digits, or at least one if `digits` is 0.
  std::optional<std::uint64_t> number(std::size_t digits = 0) {
    const char* const first = line.data() + at;
    const char* const last = digits == 0 ? line.data() + line.size() : first + digits;
    if (digits > line.size() - at) {
      return std::nullopt;
    }
    std::uint64_t value = 0;
    const auto [stop, error] = std::from_chars(first, last, value);
    if (error != std::errc() || (digits != 0 && stop != last)) {
      return std::nullopt;
    }
    at += static_cast<std::size_t>(stop - first);
    return value;
  }
  // "SEC.USEC", with exactly six digits behind the point.
  std::optional<std::uint64_t> seconds() {
    const auto whole = number();
    if (!whole || !take('.') || *whole > std::numeric_limits<std::uint64_t>::max() / kMicros - 1) {
      return std::nullopt;
    }
    const auto micros = number(6);
    if (!micros) {
      return std::nullopt;
    }
    return *whole * kMicros + *micros;
  }
};

// "2026-11-20T07:44:51.171621Z "
std::optional<std::uint64_t> iso_time(Cursor& c) {
  const auto year = c.number(4);
  const bool dash_1 = c.take('-');
  const auto month = c.number(2);
  const bool dash_2 = c.take('-');
  const auto day = c.number(2);
  const bool t = c.take('T');
  const auto hour = c.number(2);
  const bool colon_1 = c.take(':');
  const auto minute = c.number(2);
  const bool colon_2 = c.take(':');
  const auto seconds = c.seconds();
  const bool z = c.take('Z') && c.take(' ');
  if (!year || !dash_1 || !month || !dash_2 || !day || !t || !hour || !colon_1 || !minute ||
      !colon_2 || !seconds || !z) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day)));
  // 60 seconds is a leap second.
  if (!date.ok() || *year < 1970 || *hour > 23 || *minute > 59 || *seconds > 61 * kMicros - 1) {
    return std::nullopt;
  }
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((static_cast<std::uint64_t>(days) * 24 + *hour) * 60 + *minute) * 60 * kMicros + *seconds;
}

// "PID@SEC.USEC:"
std::optional<std::uint64_t> pid_time(Cursor& c) {
  const auto pid = c.number();
  const bool at = pid && c.take('@');
  const auto time = at ? c.seconds() : std::nullopt;
  if (!time || !c.take(':')) {
    return std::nullopt;
  }
  return time;
}

// Past whichever prefix there is; its time, or 0 without one. nullopt: a prefix that is none.
std::optional<std::uint64_t> qemu_prefix(Cursor& c) {
  if (c.done() || !is_digit(c.line[c.at])) {
    return 0;
  }
  const std::size_t after_year = 4;
  const bool dated = c.line.size() > after_year && c.line[after_year] == '-';
  return dated ? iso_time(c) : pid_time(c);
}

// What follows the "[" of a CPU number; the whole pattern has to fit.
std::optional<FtraceLineHead> ftrace_tail(std::string_view line, std::size_t at) {
  Cursor c{line, at};
  const auto cpu = c.number();
  if (!cpu || *cpu > std::numeric_limits<std::uint32_t>::max() || !c.take(']') || !c.take(' ')) {
    return std::nullopt;
  }
  c.skip_spaces();
  auto time = c.seconds();
  if (!time || !c.take(':')) {
    // Not the time yet: the flags, which may begin with a digit but hold no ':'.
    while (!c.done() && !c.take(' ')) {
      ++c.at;
    }
    c.skip_spaces();
    time = c.seconds();
    if (!time || !c.take(':')) {
      return std::nullopt;
    }
  }
  if (!c.take(' ')) {
    return std::nullopt;
  }
  const std::size_t begin = c.at;
  while (!c.done() && is_name_char(c.line[c.at])) {
    ++c.at;
  }
  const std::string_view name = line.substr(begin, c.at - begin);
  if (name.empty() || !c.take(':')) {
    return std::nullopt;
  }
  c.take(' ');
  return FtraceLineHead{name, c.at, *time, static_cast<std::uint32_t>(*cpu)};
}

// Whether `text`, the line before " [<cpu>]", ends like "<task>-<pid>" or "<task>-<pid> (<tgid>)".
bool ends_with_task(std::string_view text) {
  const auto trim = [&text] {
    while (text.ends_with(' ')) {
      text.remove_suffix(1);
    }
  };
  trim();
  if (text.ends_with(')')) {
    // "(%7s)"; looking no further back keeps a hostile line linear.
    constexpr std::size_t kLongest = 16;
    const std::string_view tail = text.substr(text.size() - std::min(text.size(), kLongest));
    const std::size_t open = tail.rfind('(');
    if (open == std::string_view::npos) {
      return false;
    }
    text.remove_suffix(tail.size() - open);
    trim();
  }
  const std::size_t digits = text.find_last_not_of("0123456789");
  return digits != std::string_view::npos && digits + 1 < text.size() && text[digits] == '-';
}

}  // namespace

std::optional<QemuLineHead> parse_qemu_head(std::string_view line) {
  Cursor c{line};
  const auto time = qemu_prefix(c);
  if (!time) {
    return std::nullopt;
  }
  const std::size_t begin = c.at;
  bool underscore = false;
  while (!c.done() && is_name_char(line[c.at])) {
    underscore |= line[c.at++] == '_';
  }
  const std::string_view name = line.substr(begin, c.at - begin);
  if (!underscore || is_digit(name.front()) || (!c.done() && !c.take(' '))) {
    return std::nullopt;
  }
  return QemuLineHead{name, c.at, *time};
}

bool is_qemu_message(std::string_view line) {
  Cursor c{line};
  if (!qemu_prefix(c)) {
    return false;
  }
  const std::string_view word = line.substr(c.at, line.find(' ', c.at) - c.at);
  return word.starts_with("qemu-") && word.ends_with(':');
}

std::optional<FtraceLineHead> parse_ftrace_head(std::string_view line) {
  for (std::size_t at = line.find(" ["); at != std::string_view::npos;
       at = line.find(" [", at + 1)) {
    if (ends_with_task(line.substr(0, at))) {
      if (auto head = ftrace_tail(line, at + 2)) {
        return head;
      }
    }
  }
  return std::nullopt;
}

}  // namespace weir::replay
