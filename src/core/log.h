#pragma once

#include <filesystem>
#include <string_view>

#include "core/strings.h"

/// The log: one line a message on stderr and, once open_file was called, in a file. Thread-safe.
namespace rehyat::log {

enum class Level { debug, info, warn, error };

/// Set once by main. Ranks other than 0 print warnings and errors only, each with its rank in front.
void setup(int rank, int world_size, Level level);
/// Also append to this file (one a rank; the folder must exist).
void open_file(const std::filesystem::path& path);
void write(Level level, std::string_view text);
/// Whether stderr is a terminal on which this rank may draw a progress bar.
bool interactive();
void flush();

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
