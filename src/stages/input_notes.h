#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace rehyat::stages {

/// What was read of the files that a config names, kept in the run's folder: weights are moved away and lists of
/// prompts are deleted, and what was made of them has to be found all the same. A note holds what decides a stage's
/// identity (sizes, checksums, lines of text), never a weight.
class InputNotes {
 public:
  /// One input. `kind` begins the note's file name, `of` tells inputs of one kind apart.
  struct Input {
    std::string kind;
    nlohmann::ordered_json of;
    std::filesystem::path path;  ///< for messages
    bool there = true;           ///< whether it can be read now
  };

  explicit InputNotes(std::filesystem::path run_folder);

  const std::filesystem::path& run_folder() const { return run_folder_; }
  /// What `read` returns. For an input that is gone: what it returned when the note was written, which the log says
  /// once for each path. Where there is no such note either, `read` is called, so that its error names what is missing.
  /// Throws UserError where the note is damaged.
  nlohmann::ordered_json said(const Input& input, const std::function<nlohmann::ordered_json()>& read);
  /// Whether there is a note of this input.
  bool knows(const Input& input) const;
  /// What the note says. Throws UserError where it is damaged or not there.
  nlohmann::ordered_json noted(const Input& input) const;
  /// Writes the notes of all that was read; those that say the same already are left alone. Call on rank 0.
  void save() const;

 private:
  std::filesystem::path file_of(const Input& input) const;

  std::filesystem::path run_folder_;
  std::map<std::filesystem::path, nlohmann::ordered_json> notes_;  ///< by the note's file
  std::set<std::filesystem::path> told_;
};

/// The spelling of a path that does not depend on the folder that the program works in.
std::string full_path(const std::filesystem::path& path);

}  // namespace rehyat::stages
