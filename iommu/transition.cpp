// SPDX-License-Identifier: Apache-2.0
#include "iommu/transition.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

namespace weir {
namespace {

using GroupTo = Transition::GroupTurn::To;

[[nodiscard]] std::string to_text(Requester r) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{}", r.segment, r.bus(), r.device(), r.function());
}

template <typename A>
[[nodiscard]] std::string to_text(AddressRange<A> range) {
  return fmt::format("{:#x}-{:#x}", range.first.value(), range.last.value());
}

[[nodiscard]] std::string_view to_text(Permissions rights) {
  if (!rights.can_write()) return "r";
  return rights.can_read() ? "rw" : "w";
}

// Words of one clause, each with where it stands. The first trouble stays.
class Words {
 public:
  Words(std::string_view line, std::size_t begin, std::size_t end)
      : line_(line), at_(begin), end_(end) {}

  [[nodiscard]] bool more() {
    while (at_ < end_ && line_[at_] == ' ') ++at_;
    return at_ < end_ && !error_;
  }
  [[nodiscard]] std::string_view next() {
    const bool is_one = more();
    word_at_ = at_;
    if (!is_one) return {};
    while (at_ < end_ && line_[at_] != ' ') ++at_;
    return line_.substr(word_at_, at_ - word_at_);
  }
  void fail(std::string cause) {
    if (!error_) error_ = TransitionError{word_at_, std::move(cause)};
  }
  void expect(std::string_view what) {
    if (next() != what) fail(fmt::format("expected \"{}\"", what));
  }
  [[nodiscard]] const std::optional<TransitionError>& error() const { return error_; }

  [[nodiscard]] std::uint64_t number(std::string_view text, int base, std::uint64_t limit) {
    std::uint64_t value = 0;
    const auto [end, trouble] =
        std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (trouble != std::errc() || end != text.data() + text.size() || value > limit)
      fail("not a number, or too large");
    return value;
  }
  [[nodiscard]] std::uint64_t address(std::string_view text) {
    if (!text.starts_with("0x")) fail("an address begins with 0x");
    return error_ ? 0 : number(text.substr(2), 16, ~std::uint64_t{0});
  }
  template <typename A>
  [[nodiscard]] AddressRange<A> range() {
    const std::string_view text = next();
    const std::size_t dash = text.find('-');
    if (dash == text.npos) fail("expected FIRST-LAST");
    if (error_) return {};
    const AddressRange<A> range{A(address(text.substr(0, dash))), A(address(text.substr(dash + 1)))};
    if (range.first > range.last) fail("the range ends before it begins");
    return range;
  }
  [[nodiscard]] PoolId pool() {
    return {static_cast<std::uint32_t>(number(next(), 10, 0xffffffff))};
  }
  [[nodiscard]] Requester function(std::string_view text) {
    constexpr std::string_view kShape = "0000:00:00.0";
    if (text.size() != kShape.size() || text[4] != ':' || text[7] != ':' || text[10] != '.') {
      fail("expected segment:bus:device.function");
      return {};
    }
    return Requester::from_bdf(static_cast<unsigned>(number(text.substr(5, 2), 16, 0xff)),
                               static_cast<unsigned>(number(text.substr(8, 2), 16, 0x1f)),
                               static_cast<unsigned>(number(text.substr(11, 1), 16, 7)),
                               static_cast<std::uint16_t>(number(text.substr(0, 4), 16, 0xffff)));
  }

 private:
  const std::string_view line_;
  std::size_t at_;
  const std::size_t end_;
  std::size_t word_at_ = 0;
  std::optional<TransitionError> error_;
};

void read_pool(Words& words, Transition& to) {
  Transition::PoolMove move{.pool = words.pool()};
  const std::string_view where = words.next();
  if (where == "at") {
    Window window{.range = words.range<Iova>()};
    words.expect("to");
    window.to = Gpa(words.address(words.next()));
    const std::string_view rights = words.next();
    if (rights != "r" && rights != "w" && rights != "rw") words.fail("expected r, w or rw");
    window.rights = Permissions::of(rights.starts_with('r'), rights.ends_with('w'));
    move.window = window;
  } else if (where != "nowhere") {
    words.fail("expected \"at\" or \"nowhere\"");
  }
  to.pools.push_back(move);
}

void read_confinement(Words& words, Transition& to) {
  Transition::Confinement confinement;
  if (const std::string_view who = words.next(); who != "all")
    confinement.function = words.function(who);
  words.expect("to");
  confinement.pool = words.pool();
  to.confinements.push_back(confinement);
}

void read_group(Words& words, Transition& to) {
  Transition::GroupTurn turn;
  std::string_view word = words.next();
  for (; word.find(':') != word.npos; word = words.next())
    turn.functions.push_back(words.function(word));
  if (turn.functions.empty()) words.fail("a group has a function");
  if (word == "tables")
    turn.to = GroupTo::kTables;
  else if (word != "identity")
    words.fail("expected \"identity\" or \"tables\"");
  to.groups.push_back(std::move(turn));
}

void read_clause(Words& words, Transition& to) {
  const std::string_view what = words.next();
  if (what == "private")
    to.made_private.push_back(words.range<Gpa>());
  else if (what == "shared")
    to.made_shared.push_back(words.range<Gpa>());
  else if (what == "pool")
    read_pool(words, to);
  else if (what == "confine")
    read_confinement(words, to);
  else if (what == "group")
    read_group(words, to);
  else
    words.fail("unknown kind of change");
  if (words.more()) {
    (void)words.next();
    words.fail("one word too many");
  }
}

}  // namespace

std::string to_line(const Transition& transition) {
  std::string line;
  const auto clause = [&line]() -> std::back_insert_iterator<std::string> {
    if (!line.empty()) line += "; ";
    return std::back_inserter(line);
  };
  for (const auto& range : transition.made_private)
    fmt::format_to(clause(), "private {}", to_text(range));
  for (const auto& range : transition.made_shared)
    fmt::format_to(clause(), "shared {}", to_text(range));
  for (const auto& move : transition.pools) {
    if (!move.window)
      fmt::format_to(clause(), "pool {} nowhere", move.pool.value);
    else
      fmt::format_to(clause(), "pool {} at {} to {:#x} {}", move.pool.value,
                     to_text(move.window->range), move.window->to.value(),
                     to_text(move.window->rights));
  }
  for (const auto& confinement : transition.confinements)
    fmt::format_to(clause(), "confine {} to {}",
                   confinement.function ? to_text(*confinement.function) : "all",
                   confinement.pool.value);
  for (const auto& group : transition.groups) {
    auto out = fmt::format_to(clause(), "group");
    for (const Requester function : group.functions) fmt::format_to(out, " {}", to_text(function));
    line += group.to == GroupTo::kIdentity ? " identity" : " tables";
  }
  return line;
}

Result<Transition, TransitionError> parse_transition(std::string_view line) {
  Transition made;
  for (std::size_t begin = 0; begin < line.size();) {
    const std::size_t end = std::min(line.find(';', begin), line.size());
    Words words(line, begin, end);
    read_clause(words, made);
    if (words.error()) return Failure{*words.error()};
    begin = end + 1;
  }
  if (!line.empty() && line.back() == ';')
    return Failure{TransitionError{line.size() - 1, "nothing follows the semicolon"}};
  return made;
}

}  // namespace weir
