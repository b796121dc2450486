// SPDX-License-Identifier: Apache-2.0
#include "replay/line_reader.h"

#include "tests/replay/trace_files.h"

namespace weir::replay {
namespace {

struct Lines {
  std::vector<std::string> lines;
  std::optional<TraceError> error;
};

Lines read_lines(const std::string& path) {
  Lines out;
  auto reader = LineReader::open(path);
  if (!reader) {
    out.error = reader.error();
    return out;
  }
  for (;;) {
    const auto line = reader->next();
    if (!line) {
      out.error = line.error();
      return out;
    }
    if (!*line) {
      return out;
    }
    out.lines.emplace_back(**line);
    EXPECT_EQ(reader->line_number(), out.lines.size());
  }
}

Lines read_text(std::string_view text) {
  const ScratchFile file(text);
  return read_lines(file.path());
}

// 20 000 lines of different lengths: more than any buffer in between holds.
std::string many_lines() {
  std::string out;
  for (int i = 0; i < 20000; ++i) {
    out += std::string(static_cast<std::size_t>(i % 97), 'x') + std::to_string(i) + '\n';
  }
  return out;
}

TEST(LineReader, PlainAndXzGiveTheSameLines) {
  const std::string text = many_lines();
  const Lines plain = read_text(text);
  const Lines packed = read_text(xz(text));
  ASSERT_FALSE(plain.error) << text_of(plain.error);
  ASSERT_FALSE(packed.error) << text_of(packed.error);
  ASSERT_EQ(plain.lines.size(), 20000u);
  EXPECT_EQ(plain.lines[98], "x98");
  EXPECT_EQ(plain.lines, packed.lines);
}

TEST(LineReader, ConcatenatedXzStreamsAreOneFile) {
  const Lines lines = read_text(xz("one\ntw") + xz("o\nthree\n"));
  ASSERT_FALSE(lines.error) << text_of(lines.error);
  EXPECT_EQ(lines.lines, (std::vector<std::string>{"one", "two", "three"}));
}

TEST(LineReader, EmptyFilesAndEmptyLines) {
  EXPECT_TRUE(read_text("").lines.empty());
  EXPECT_FALSE(read_text("").error);
  EXPECT_TRUE(read_text(xz("")).lines.empty());
  EXPECT_FALSE(read_text(xz("")).error);
  EXPECT_EQ(read_text("\n\na\n").lines, (std::vector<std::string>{"", "", "a"}));
}

TEST(LineReader, LongestLineIsReadAndOneMoreByteIsRefused) {
  const std::string longest(kMaxLine, 'y');
  const Lines good = read_text("first\n" + longest + "\n");
  ASSERT_FALSE(good.error) << text_of(good.error);
  EXPECT_EQ(good.lines.at(1), longest);

  const Lines bad = read_text("first\n" + longest + "y\n");
  ASSERT_TRUE(bad.error);
  EXPECT_EQ(bad.error->line, 2u);
  EXPECT_EQ(bad.error->cause, "line is longer than 65536 bytes");
}

TEST(LineReader, MegabyteLineIsRefusedPlainAndPacked) {
  const std::string text = "a\nb\n" + std::string(1 << 20, 'z') + "\nc\n";
  for (const auto& bytes : {text, xz(text)}) {
    const Lines lines = read_text(bytes);
    ASSERT_TRUE(lines.error);
    EXPECT_EQ(lines.error->line, 3u);
    EXPECT_EQ(lines.lines.size(), 2u);
  }
}

TEST(LineReader, LastLineWithoutBreakIsACutOffFile) {
  const Lines lines = read_text("whole\nhal");
  ASSERT_TRUE(lines.error);
  EXPECT_EQ(lines.error->line, 2u);
  EXPECT_NE(lines.error->cause.find("cut off"), std::string::npos);
}

TEST(LineReader, NulBytesAreRefused) {
  const Lines inside = read_text(std::string_view("a\nb\0c\n", 6));
  ASSERT_TRUE(inside.error);
  EXPECT_EQ(inside.error->line, 2u);
  EXPECT_TRUE(read_text(std::string(100, '\0')).error);
  EXPECT_TRUE(read_text(std::string(1 << 20, '\0')).error);
}

TEST(LineReader, FilesThatCannotBeRead) {
  const Lines missing = read_lines("/nonexistent/trace.log");
  ASSERT_TRUE(missing.error);
  EXPECT_EQ(missing.error->to_string(), "/nonexistent/trace.log: No such file or directory");

  const Lines folder = read_lines(testing::TempDir());
  ASSERT_TRUE(folder.error);
  EXPECT_NE(folder.error->cause.find("Is a directory"), std::string::npos);
}

TEST(LineReader, EveryTruncationOfAnXzFileIsAnError) {
  const std::string text = many_lines().substr(0, 4000) + "\n";
  const std::string packed = xz(text);
  const Lines whole = read_text(packed);
  ASSERT_FALSE(whole.error);
  for (std::size_t size = 1; size < packed.size(); ++size) {
    const Lines lines = read_text(std::string_view(packed).substr(0, size));
    ASSERT_TRUE(lines.error) << size;
    EXPECT_EQ(lines.error->cause, "xz data is cut off: the file is truncated") << size;
    EXPECT_EQ(lines.error->line, size < 6 ? 1 : lines.lines.size() + 1) << size;
    ASSERT_LE(lines.lines.size(), whole.lines.size());
    EXPECT_TRUE(std::equal(lines.lines.begin(), lines.lines.end(), whole.lines.begin())) << size;
  }
}

TEST(LineReader, EveryFlippedBitOfAnXzFileIsAnError) {
  const std::string packed = xz(many_lines().substr(0, 2000) + "\n");
  for (std::size_t at = 0; at < packed.size(); ++at) {
    std::string bad = packed;
    bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
    const Lines lines = read_text(bad);
    EXPECT_TRUE(lines.error) << "byte " << at;
  }
}

TEST(LineReader, JunkBehindXzIsAnError) {
  const Lines lines = read_text(xz("a\n") + "this is not another xz stream");
  ASSERT_TRUE(lines.error);
  EXPECT_NE(lines.error->cause.find("or followed by something that is not xz"), std::string::npos)
      << lines.error->to_string();
}

TEST(TraceErrorText, IsOneLineWhateverTheFileHolds) {
  const TraceError error{"a\nb", 7, "not a line: " + in_quotes("x\x01\xffy\n")};
  EXPECT_EQ(error.to_string(), "a\\x0ab:7: not a line: \"x\\x01\\xffy\\x0a\"");
  EXPECT_EQ(in_quotes(std::string(100, 'q')), "\"" + std::string(60, 'q') + "...\"");
}

}  // namespace
}  // namespace weir::replay
