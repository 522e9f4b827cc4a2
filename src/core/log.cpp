#include "core/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "core/error.h"
#include "core/terminal.h"

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
  std::shared_ptr<spdlog::logger> logger;  // its first sink is the terminal's
  std::string pattern = std::string(kPattern) + "%v";
  int rank = 0;
  std::optional<ProgressBar> bar;  // the open line of the terminal
  bool has_complained = false;     // of the file that is open now

  State() {
    auto terminal = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
    terminal->set_level(spdlog::level::info);
    logger = std::make_shared<spdlog::logger>("rehyat", std::move(terminal));
    logger->set_pattern(pattern);
    logger->set_level(spdlog::level::info);
    logger->flush_on(spdlog::level::info);
    logger->set_error_handler([this](const std::string& reason) { complain(reason); });
  }

  /// Says on the terminal, once a file, that a log file gets no more lines; the work goes on without.
  void complain(const std::string& reason) {
    if (has_complained) return;
    has_complained = true;
    const std::string text = cat("the log file is not whole: ", reason, "; check the disk's space");
    logger->sinks().front()->log(spdlog::details::log_msg(logger->name(), spdlog::level::warn, text));
    logger->sinks().front()->flush();
  }

  /// The logger lets through what any sink wants: files want everything.
  void adjust() {
    const auto& sinks = logger->sinks();
    logger->set_level(sinks.size() > 1 ? spdlog::level::debug : sinks.front()->level());
  }
};

constexpr std::size_t kUnknownColumns = 80;

/// Without the last column, at which some terminals go on to the next line.
void draw(const ProgressBar& bar) {
  const std::size_t columns = terminal_columns(STDERR_FILENO).value_or(kUnknownColumns);
  std::fprintf(stderr, "\r\033[K%s", bar.in_columns(columns - 1).c_str());
  std::fflush(stderr);
}

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
  s.logger->sinks().front()->set_level(rank == 0 ? to_spdlog(level) : std::max(to_spdlog(level), spdlog::level::warn));
  s.adjust();
}

struct FileScope::Sink {
  spdlog::sink_ptr file;
};

FileScope::FileScope(const std::filesystem::path& path) : sink_(std::make_unique<Sink>()) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  try {
    sink_->file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string(), false);
  } catch (const spdlog::spdlog_ex& error) {
    throw UserError({path.string(), error.what(), "a log file that can be written", ""});
  }
  s.has_complained = false;
  sink_->file->set_pattern(s.pattern);
  s.logger->sinks().push_back(sink_->file);
  s.adjust();
}

FileScope::~FileScope() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  try {
    sink_->file->flush();
  } catch (const spdlog::spdlog_ex& error) {
    s.complain(error.what());
  }
  auto& sinks = s.logger->sinks();
  sinks.erase(std::remove(sinks.begin(), sinks.end(), sink_->file), sinks.end());
  s.adjust();
}

void write(Level level, std::string_view text) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const bool over_bar = s.bar && to_spdlog(level) >= s.logger->sinks().front()->level();
  if (over_bar) std::fputs("\r\033[K", stderr);
  s.logger->log(to_spdlog(level), spdlog::string_view_t(text.data(), text.size()));
  if (over_bar) draw(*s.bar);
}

void record(std::string_view text, Level level) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const spdlog::details::log_msg message(s.logger->name(), to_spdlog(level),
                                         spdlog::string_view_t(text.data(), text.size()));
  for (std::size_t i = 1; i < s.logger->sinks().size(); ++i) {
    try {
      s.logger->sinks()[i]->log(message);
      s.logger->sinks()[i]->flush();
    } catch (const spdlog::spdlog_ex& error) {
      s.complain(error.what());
    }
  }
}

void draw_bar(ProgressBar bar) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.bar = std::move(bar);
  draw(*s.bar);
}

void end_bar() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (!s.bar) return;
  s.bar.reset();
  std::fputs("\n", stderr);
  std::fflush(stderr);
}

bool interactive() {
  return state().rank == 0 && isatty(STDERR_FILENO) == 1;
}

void flush() {
  state().logger->flush();
}

}  // namespace rehyat::log
