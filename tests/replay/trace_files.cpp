// SPDX-License-Identifier: Apache-2.0
#include "tests/replay/trace_files.h"

#include <lzma.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <sstream>

namespace weir::replay {

std::string capture(std::string_view name) {
  return std::string(WEIR_TEST_DATA) + "/traces/" + std::string(name);
}

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

ScratchFile::ScratchFile(std::string_view bytes) {
  static std::atomic<int> counter{0};  // relaxed would do: only the numbers matter
  path_ = testing::TempDir() + "weir_replay_" + std::to_string(getpid()) + "_" +
          std::to_string(counter++);
  std::ofstream out(path_, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  EXPECT_TRUE(out.good()) << path_;
}

ScratchFile::~ScratchFile() {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

std::string xz(std::string_view bytes) {
  std::string out(lzma_stream_buffer_bound(bytes.size()), '\0');
  std::size_t size = 0;
  const lzma_ret code = lzma_easy_buffer_encode(
      1, LZMA_CHECK_CRC64, nullptr, reinterpret_cast<const std::uint8_t*>(bytes.data()),
      bytes.size(), reinterpret_cast<std::uint8_t*>(out.data()), &size, out.size());
  EXPECT_EQ(code, LZMA_OK);
  out.resize(size);
  return out;
}

}  // namespace weir::replay
