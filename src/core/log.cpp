#include "core/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <memory>
#include <mutex>

#include "core/error.h"

namespace rehyat::log {
namespace {

constexpr const char* kPattern = "%Y-%m-%d %H:%M:%S %^%-5l%$ ";

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warn:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

struct State {
  std::mutex mutex;
  std::shared_ptr<spdlog::logger> logger;
  std::string pattern = std::string(kPattern) + "%v";
  int rank = 0;

  State() {
    logger = std::make_shared<spdlog::logger>("rehyat", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    logger->set_pattern(pattern);
    logger->flush_on(spdlog::level::info);
  }
};

State& state() {
  static State instance;
  return instance;
}

}  // namespace

void setup(int rank, int world_size, Level level) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.rank = rank;
  s.pattern = std::string(kPattern) + (world_size > 1 ? cat("[", rank, "] ") : std::string()) + "%v";
  s.logger->set_pattern(s.pattern);
  s.logger->set_level(to_spdlog(level));
  for (const auto& sink : s.logger->sinks()) sink->set_level(rank == 0 ? spdlog::level::trace : spdlog::level::warn);
}

void open_file(const std::filesystem::path& path) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string(), false);
    sink->set_pattern(s.pattern);
    s.logger->sinks().push_back(std::move(sink));
  } catch (const spdlog::spdlog_ex& error) {
    throw UserError({path.string(), error.what(), "a log file that can be written", ""});
  }
}

void write(Level level, std::string_view text) {
  state().logger->log(to_spdlog(level), spdlog::string_view_t(text.data(), text.size()));
}

bool interactive() {
  static const bool terminal = isatty(STDERR_FILENO) == 1;
  return terminal && state().rank == 0;
}

void flush() {
  state().logger->flush();
}

}  // namespace rehyat::log
