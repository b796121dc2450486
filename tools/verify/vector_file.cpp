// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/vector_file.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "replay/line_reader.h"

namespace weir::verify {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMostCases = std::uint64_t{1} << 32;

// The library's own message is three lines long for some inputs and speaks of its parser.
Result<Json, std::string> parse(std::string_view line) {
  try {
    return Json::parse(line);
  } catch (const Json::parse_error& error) {
    return Failure{"not JSON: broken at byte " + std::to_string(error.byte)};
  } catch (const Json::exception&) {
    return Failure{std::string("not JSON: a number or a string is out of range")};
  }
}

}  // namespace

struct VectorFile::State {
  explicit State(replay::LineReader reader) : lines(std::move(reader)) {}

  replay::LineReader lines;
  Json header;
  Json current;
  Problem problem;
  std::string mode;
  std::uint64_t announced = 0;
  std::optional<std::uint64_t> number;  // of the current case
};

VectorFile::VectorFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
VectorFile::VectorFile(VectorFile&&) noexcept = default;
VectorFile& VectorFile::operator=(VectorFile&&) noexcept = default;
VectorFile::~VectorFile() = default;

const std::string& VectorFile::path() const { return state_->lines.file(); }
const std::string& VectorFile::mode() const { return state_->mode; }
std::uint64_t VectorFile::announced_cases() const { return state_->announced; }
std::uint64_t VectorFile::case_number() const { return state_->number.value_or(0); }
Fields VectorFile::header() { return {state_->header, "", state_->problem}; }
Fields VectorFile::current() { return {state_->current, "", state_->problem}; }
bool VectorFile::has_problem() const { return state_->problem.found(); }
Failure<TraceError> VectorFile::problem() const { return failure_here(state_->problem.cause()); }
Failure<TraceError> VectorFile::failure_here(std::string cause) const {
  return state_->lines.failure_here(std::move(cause));
}

Result<VectorFile, TraceError> VectorFile::open(std::string path) {
  auto lines = replay::LineReader::open(std::move(path));
  if (!lines) return Failure{lines.error()};
  VectorFile file(std::make_unique<State>(std::move(*lines)));
  State& state = *file.state_;

  const auto line = state.lines.next();
  if (!line) return Failure{line.error()};
  const std::optional<std::string_view>& text = line.value();
  if (!text) return file.failure_here("the file is empty");
  auto parsed = parse(*text);
  if (!parsed) return file.failure_here(parsed.error());
  state.header = std::move(*parsed);

  const Fields header = file.header();
  const std::string format = header.text("format");
  if (header.ok() && format != "iommu-oracle") {
    header.complain("format", replay::in_quotes(format) + " is not \"iommu-oracle\"");
  }
  const std::uint64_t version = header.number("version", ~std::uint64_t{0});
  if (header.ok() && version != 1) {
    header.complain("version", std::to_string(version) + " is not 1");
  }
  state.mode = header.text("mode");
  state.announced = header.number("cases", kMostCases);
  if (file.has_problem()) return file.problem();
  return file;
}

Result<bool, TraceError> VectorFile::next_case() {
  State& state = *state_;
  const auto line = state.lines.next();
  if (!line) return Failure{line.error()};
  const std::optional<std::string_view>& text = line.value();
  if (!text) {
    // Nothing compared must not look like nothing wrong.
    if (!state.number) return failure_here("no case follows the header");
    return false;
  }
  auto parsed = parse(*text);
  if (!parsed) return failure_here(parsed.error());
  state.current = std::move(*parsed);

  const Fields fields = current();
  const std::uint64_t number = fields.number("case", kMostCases);
  if (has_problem()) return problem();
  if (number >= state.announced) {
    fields.complain("case", std::to_string(number) + " in a file of " +
                                std::to_string(state.announced) + " cases");
  } else if (state.number && number <= *state.number) {
    fields.complain("case", std::to_string(number) + " follows " + std::to_string(*state.number));
  }
  if (has_problem()) return problem();
  state.number = number;
  return true;
}

}  // namespace weir::verify
