#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

namespace rehyat {

/// Size, inode, times and readability of a file. While they stay the same, nobody has written to the file. Empty where
/// there is no file.
std::string file_state(const std::filesystem::path& path);

/// Checksums of files, remembered between runs while the state of the file is the same.
class ChecksumMemory {
 public:
  /// Stands for the checksum of a file that cannot be read. It is never saved, so that the file counts as changed once
  /// it can be read.
  static constexpr const char* kUnreadable = "unreadable";

  /// Part of a file, such as a member of an archive; empty for the whole file.
  using Part = std::string;

  /// `path` is the memory's own file. Where it is missing or not ours, the memory begins empty; with an empty path
  /// nothing is saved.
  explicit ChecksumMemory(std::filesystem::path path = {});

  /// The checksum of a file or of a part of it: the remembered one, else what `compute` returns.
  std::string at(const std::filesystem::path& file, const Part& part, const std::function<std::string()>& compute);
  /// The same with the checksum of the whole file's bytes.
  std::string at(const std::filesystem::path& file);
  /// Takes over a checksum that another rank has computed; it holds while the file's state stays the present one.
  void remember(const std::filesystem::path& file, const Part& part, const std::string& checksum);
  /// Writes what was asked for since the memory was opened, whole or not at all, unless the file says the same already.
  void save() const;

 private:
  struct Entry {
    std::string state, checksum;
  };
  std::filesystem::path path_;
  std::map<std::string, Entry> earlier_;  ///< what earlier runs saved, by file and part
  std::map<std::string, Entry> asked_;    ///< what this run has asked for
};

}  // namespace rehyat
