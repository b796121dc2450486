// SPDX-License-Identifier: Apache-2.0
//
// The weir command's own manners: help, usage errors, exit statuses.

#include "tools/command_line.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "tests/tools/verify_fixture.h"

namespace weir::tools {
namespace {

Ran weir(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "weir");
  std::ostringstream out;
  std::ostringstream err;
  const int status =
      run_command_line(static_cast<int>(arguments.size()), arguments.data(), out, err);
  return {status, out.str(), err.str()};
}

TEST(CommandLine, HelpListsTheSubcommands) {
  const Ran ran = weir({"--help"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.err, "");
  EXPECT_NE(ran.out.find("replay"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("verify"), std::string::npos) << ran.out;
}

TEST(CommandLine, WrongUseIsOneLineAndStatusTwo) {
  const std::vector<std::vector<const char*>> wrong = {
      {},
      {"frobnicate"},
      {"verify"},
      {"verify", "--no-such-option", "x"},
      {"replay"},
      {"replay", "--entries", "-1", "x"},
      {"replay", "no/such/file"},
      {"verify", "--failures", "many", "x"},
      {"verify", "--failures", "-1", "x"},
      {"verify", "no/such/file"},
      {"verify", "--entries", "99999999999", "x"},
  };
  for (const auto& arguments : wrong) {
    const Ran ran = weir(arguments);
    EXPECT_EQ(ran.status, 2) << ran.out << ran.err;
    EXPECT_EQ(ran.out, "");
    EXPECT_TRUE(is_one_line(ran.err)) << ran.err;
  }
}

TEST(CommandLine, AnOutputThatCannotBeWrittenIsNotSuccess) {
  std::ostringstream err;
  std::ostringstream out;
  out.setstate(std::ios::badbit);
  const std::vector<const char*> arguments = {"weir", "--help"};
  EXPECT_EQ(run_command_line(2, arguments.data(), out, err), 2);
}

TEST(CommandLine, VerifyRunsVectors) {
  const TemporaryFile file(joined(first_lines(recorded_files("vtd-legacy").at(0), 2)));
  const Ran ran = weir({"verify", file.path().c_str()});
  EXPECT_EQ(ran.status, 0) << ran.out << ran.err;
  EXPECT_NE(ran.out.find(" passed, 0 failed\n"), std::string::npos) << ran.out;
}

}  // namespace
}  // namespace weir::tools
