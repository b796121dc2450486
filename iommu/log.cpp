// SPDX-License-Identifier: Apache-2.0
#include "iommu/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>

#include <bit>

namespace weir {
namespace {

// Hands spdlog's lines to the embedder. The null mutex: LogSink is called from any thread by
// contract, and no lock of ours may be held meanwhile.
class ForwardSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit ForwardSink(LogSink& to) : to_(to) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const bool grave = message.level >= spdlog::level::warn;
    to_.on_log(grave ? LogLevel::kWarning : LogLevel::kInfo,
               {message.payload.data(), message.payload.size()});
  }
  void flush_() override {}

 private:
  LogSink& to_;
};

}  // namespace

struct Log::Engine {
  explicit Engine(LogSink& sink) : logger("weir", std::make_shared<ForwardSink>(sink)) {}
  spdlog::logger logger;
};

Log::Log(LogSink* sink) : engine_(sink == nullptr ? nullptr : std::make_unique<Engine>(*sink)) {}
Log::~Log() = default;

bool Log::wants(LogTopic topic) {
  if (engine_ == nullptr) return false;
  // Relaxed: a count that only limits how much is said.
  const std::uint64_t before =
      said_[static_cast<std::size_t>(topic)].fetch_add(1, std::memory_order_relaxed);
  return before < kUnlimitedLines || std::has_single_bit(before);
}

void Log::write_line(LogLevel level, std::string_view line) {
  engine_->logger.log(level == LogLevel::kWarning ? spdlog::level::warn : spdlog::level::info, "{}",
                      line);
}

}  // namespace weir
