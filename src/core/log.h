#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "core/progress_bar.h"
#include "core/strings.h"

/// The log: one line a message on stderr and, while a FileScope lives, in a file. Thread-safe.
namespace rehyat::log {

enum class Level { debug, info, warn, error };

/// Set once by main. Ranks other than 0 print warnings and errors only, each with its rank in front.
void setup(int rank, int world_size, Level level);
void write(Level level, std::string_view text);
/// Writes to the files alone what the terminal shows in another way, such as a progress bar.
void record(std::string_view text, Level level = Level::info);
/// Whether stderr is a terminal on which this rank may draw a progress bar.
bool interactive();
/// Draws the open line at the bottom of the terminal in place of the one before, as wide as the terminal is at that
/// moment and no wider; lines of the log go above it.
void draw_bar(ProgressBar bar);
/// Ends that line, which stays on the terminal.
void end_bar();
void flush();

/// While it lives, every line of the log, debug lines too, is also appended to this file. Each rank has a file of its
/// own; the folder must exist. Where
/// lines do not reach the file (a full disk) the terminal says so once, and the work goes on.
class FileScope {
 public:
  /// Throws UserError where the file cannot be written.
  explicit FileScope(const std::filesystem::path& path);
  ~FileScope();
  FileScope(const FileScope&) = delete;
  FileScope& operator=(const FileScope&) = delete;

 private:
  struct Sink;
  std::unique_ptr<Sink> sink_;
};

template <typename... Args>
void debug(const Args&... args) {
  write(Level::debug, cat(args...));
}
template <typename... Args>
void info(const Args&... args) {
  write(Level::info, cat(args...));
}
template <typename... Args>
void warn(const Args&... args) {
  write(Level::warn, cat(args...));
}
template <typename... Args>
void error(const Args&... args) {
  write(Level::error, cat(args...));
}

}  // namespace rehyat::log
