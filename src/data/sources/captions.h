#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace rehyat::data {

constexpr std::uint64_t kMaxCaption = 1 << 16;  ///< bytes

/// A caption before it is checked.
struct CaptionEntry {
  std::string where;  ///< file:line of the entry
  std::string file, caption, group;
};

/// Where captions come from.
struct CaptionSource {
  std::filesystem::path videos;  ///< folder of the clips
  /// .jsonl with {"file": …, "caption": …} or .csv with file,caption, either with an optional group; or .json, the list
  /// that FastVideo and HunyuanVideo call videos2caption.json (see read_videos2caption); empty: beside each clip.
  std::filesystem::path metadata;
  bool allow_missing = false;          ///< a clip without a caption gets the empty one
  std::vector<CaptionEntry> archived;  ///< the captions that lie in archives, where no metadata is given
  bool in_archives = false;            ///< whether the clips lie in archives, and not in a folder with NAME.txt beside
};

/// The captions of clips, and their groups where these are given. A clip is named by its path relative to the folder of
/// the videos, with '/' between folders.
class Captions {
 public:
  Captions() = default;
  /// The inverse of `content`.
  explicit Captions(const nlohmann::ordered_json& content);
  nlohmann::ordered_json content() const;

  /// Reads the captions of these clips (paths relative to `source.videos`). Throws UserError with file:line for a line
  /// that cannot be read or is not UTF-8, a clip that is named twice or that does not exist (see clip_names.h), and for
  /// clips without a caption. A caption that is null or empty is a missing one.
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
