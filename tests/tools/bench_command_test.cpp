// SPDX-License-Identifier: Apache-2.0
//
// `weir bench` runs, and says what it promises to say. How fast anything is, no test asks.

#include "tools/bench_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

#include "tools/exit_status.h"

namespace weir::tools {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

#ifdef WEIR_HAS_BENCH

struct Answer {
  int status = 0;
  std::string out;
  std::string err;
};

Answer bench(const BenchOptions& options) {
  std::ostringstream out;
  std::ostringstream err;
  const int status = run_bench(options, out, err);
  return {status, out.str(), err.str()};
}

// One quick run for all that is asked about it.
const json& quick_run() {
  static const json report = [] {
    const Answer answer = bench({.figures = {}, .json = true, .quick = true});
    EXPECT_EQ(answer.status, kGood) << answer.err;
    EXPECT_EQ(answer.err, "");
    return json::parse(answer.out);
  }();
  return report;
}

TEST(BenchJson, ListsEveryFigureInItsOrder) {
  std::vector<std::string> ids;
  for (const json& figure : quick_run().at("figures")) {
    const std::string id = figure.at("id");
    if (ids.empty() || ids.back() != id) ids.push_back(id);
  }
  std::vector<std::string> expected;
  for (int i = 1; i <= 15; ++i) expected.push_back("G" + std::to_string(i));
  EXPECT_EQ(ids, expected);
}

TEST(BenchJson, MeasuresEveryFigure) {
  for (const json& figure : quick_run().at("figures")) {
    SCOPED_TRACE(figure.dump());
    const std::string state = figure.at("state");
    EXPECT_THAT(figure.at("bound"), ::testing::AnyOf("at most", "at least", "exactly"));
    EXPECT_GT(figure.at("goal").get<double>(), 0);
    if (state == "not measured") {
      EXPECT_TRUE(figure.contains("trouble"));  // a machine with one processor
      continue;
    }
    EXPECT_TRUE(state == "met" || state == "not met");
    const double ratio = figure.at("ratio");
    EXPECT_GT(ratio, 0);
    if (figure.contains("of")) continue;  // a count
    EXPECT_NEAR(ratio,
                figure.at("numerator_ns").get<double>() / figure.at("denominator_ns").get<double>(),
                ratio * 1e-9);
  }
}

TEST(BenchJson, ANestedWalkWithoutCachesReadsTwentyFourEntries) {
  for (const json& figure : quick_run().at("figures")) {
    if (figure.at("id") != "G9" || !figure.contains("ratio")) continue;
    EXPECT_EQ(figure.at("state"), "met") << figure;
    if (figure.at("bound") == "exactly") {
      EXPECT_EQ(figure.at("ratio"), 24.0);
    }
  }
}

TEST(BenchJson, SaysWhichFiguresAreRequired) {
  const std::set<std::string> required = {"G1", "G4", "G6", "G13"};
  for (const json& figure : quick_run().at("figures"))
    EXPECT_EQ(figure.at("required"), required.contains(figure.at("id").get<std::string>()))
        << figure.at("id");
}

TEST(BenchJson, FiguresAreMadeOfTheCasesTheyName) {
  const json& report = quick_run();
  const auto median_of = [&](const std::string& name) {
    for (const json& one : report.at("cases"))
      if (one.at("name") == name) return one.at("median_ns").get<double>();
    ADD_FAILURE() << "no case is called " << name;
    return 0.0;
  };
  for (const json& figure : report.at("figures")) {
    if (!figure.contains("ratio") || figure.contains("of")) continue;
    EXPECT_EQ(figure.at("numerator_ns"), median_of(figure.at("numerator")));
    EXPECT_EQ(figure.at("denominator_ns"), median_of(figure.at("denominator")));
  }
}

TEST(BenchJson, CasesWithAnIotlbHit) {
  unsigned with_iotlb = 0;
  for (const json& one : quick_run().at("cases")) {
    if (one.contains("trouble")) continue;
    SCOPED_TRACE(one.dump());
    EXPECT_LE(one.at("lowest_ns").get<double>(), one.at("median_ns").get<double>());
    EXPECT_LE(one.at("median_ns").get<double>(), one.at("highest_ns").get<double>());
    EXPECT_GE(one.at("repetitions").get<int>(), 3);
    if (!one.contains("hit_rate")) continue;
    ++with_iotlb;
    // A quick run is short: a thread that lost its processor to another one while both warmed up
    // shows in it. The table warns of less than nearly all.
    EXPECT_GE(one.at("hit_rate").get<double>(), 0.98);
  }
  EXPECT_GE(with_iotlb, 4U);
}

TEST(BenchJson, SaysWhatTheRunWas) {
  const json& run = quick_run().at("run");
  EXPECT_TRUE(run.at("quick"));
  for (const char* text : {"version", "build_type", "compiler", "processor"})
    EXPECT_NE(run.at(text).get<std::string>(), "") << text;
  EXPECT_GE(run.at("processors").get<int>(), 1);
  EXPECT_EQ(run.at("pages"), 4096);
  EXPECT_GE(run.at("iotlb_entries").get<int>(), 4096);
}

TEST(BenchJson, AQuickRunSaysSo) {
  const json& notes = quick_run().at("notes");
  EXPECT_TRUE(std::any_of(notes.begin(), notes.end(), [](const json& note) {
    return note.get<std::string>().find("quick") != std::string::npos;
  }));
}

TEST(BenchTable, PrintsOnlyTheFiguresAskedFor) {
  const Answer answer = bench({.figures = {"G4", "G9"}, .quick = true});
  EXPECT_EQ(answer.status, kGood) << answer.err;
  EXPECT_THAT(answer.out, HasSubstr("\nG4 "));
  EXPECT_THAT(answer.out, HasSubstr("\nG9 "));
  EXPECT_THAT(answer.out, ::testing::Not(HasSubstr("\nG1 ")));
  EXPECT_THAT(answer.out, HasSubstr("goal (stretch)"));
}

// Of a quick run nothing may be required: its figures mean nothing.
TEST(BenchStrict, PassesWhereNothingIsRequired) {
  const Answer answer = bench({.figures = {"G2"}, .json = true, .strict = true, .quick = true});
  EXPECT_EQ(answer.status, kGood);
  EXPECT_TRUE(json::accept(answer.out));
}

TEST(BenchCommand, RefusesAFigureThatIsNone) {
  const Answer answer = bench({.figures = {"G99"}});
  EXPECT_EQ(answer.status, kUnusable);
  EXPECT_EQ(answer.out, "");
  EXPECT_EQ(answer.err, "weir bench: no figure is called G99\n");
}

#endif  // WEIR_HAS_BENCH

}  // namespace
}  // namespace weir::tools
