// SPDX-License-Identifier: Apache-2.0
//
// What weir has to say in words: routes taken, units reset, pins that hang. The embedder gives a
// LogSink or hears nothing; weir has no output of its own. Never on the path of a hit. Each topic
// is rate-limited by count (the first lines, then every power of two), so that a guest cannot fill
// a disk.
//
// Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

namespace weir {

enum class LogLevel : std::uint8_t { kInfo, kWarning };

class LogSink {
 public:
  virtual ~LogSink() = default;
  // One line, without line break. From any thread, with no weir lock held.
  virtual void on_log(LogLevel level, std::string_view line) = 0;
};

enum class LogTopic : std::uint8_t { kRoute, kReset, kPin, kDeviceTlb, kGuestError };

class Log {
 public:
  explicit Log(LogSink* sink);  // null: silence
  ~Log();

  // `line` is only called if somebody listens and the topic is not over its limit.
  template <typename Line>
  void write(LogLevel level, LogTopic topic, Line line) {
    if (wants(topic)) write_line(level, line());
  }

 private:
  struct Engine;
  static constexpr std::uint64_t kUnlimitedLines = 16;

  [[nodiscard]] bool wants(LogTopic topic);
  void write_line(LogLevel level, std::string_view line);

  const std::unique_ptr<Engine> engine_;              // null: silence
  std::array<std::atomic<std::uint64_t>, 5> said_{};  // by topic
};

}  // namespace weir
