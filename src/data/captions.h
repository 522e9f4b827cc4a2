#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace rehyat::data {

/// Where captions come from.
struct CaptionSource {
  std::filesystem::path videos;  ///< folder of the clips
  std::filesystem::path metadata;  ///< .jsonl with {"file": …, "caption": …} or .csv with file,caption, either with an
                                   ///< optional group; empty: FILE.txt beside each clip
  bool allow_missing = false;  ///< a clip without a caption gets the empty one
};

/// Captions, and groups where they are given, by the clip's path relative to the folder of the videos, with '/' between
/// folders.
class Captions {
 public:
  /// Reads the captions of these clips (paths relative to `source.videos`). Throws UserError with file:line for a line
  /// that cannot be read or is not UTF-8, a clip that is named twice or that does not exist, and for clips without a
  /// caption.
  static Captions load(const CaptionSource& source, const std::vector<std::string>& clips);

  /// Throws UserError when the clip was not among those loaded.
  const std::string& at(const std::string& clip) const;
  /// Clips of one group show the same scene, so that a split keeps them on one side; "" = a clip of its own.
  const std::string& group(const std::string& clip) const;
  std::size_t size() const { return captions_.size(); }
  /// How many clips have no caption; 0 unless that was allowed.
  std::size_t missing() const { return missing_; }

 private:
  std::map<std::string, std::string> captions_, groups_;
  std::size_t missing_ = 0;
};

}  // namespace rehyat::data
