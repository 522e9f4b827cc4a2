#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace rehyat::data {

/// A name in Unicode normalization form C, in which macOS's "e" + accent is one letter; a name that is not UTF-8 stays.
std::string normalized_name(const std::string& name);

/// Finds the clips that a list of captions names.
class ClipNames {
 public:
  /// `clips` outlives this object; `folder` is the folder of the videos, for messages.
  ClipNames(const std::vector<std::string>& clips, std::filesystem::path folder);

  /// The clip of that name: as it is written, else without the white space around it, else the only one that is equal
  /// after Unicode normalization. Throws UserError, with `where`, for a name without a clip and for one with several.
  const std::string& find(const std::string& name, const std::string& where) const;

 private:
  const std::vector<std::string>& clips_;
  std::filesystem::path folder_;
  std::set<std::string> known_;
  std::map<std::string, std::vector<const std::string*>> normalized_;
};

/// Finds the text files beside clips: NAME.txt, the extension in any case, for NAME.mp4.
class TextsBeside {
 public:
  TextsBeside(std::filesystem::path videos, const std::vector<std::string>& clips);

  /// The file of a clip; empty where it has none. A file whose name differs in Unicode normalization counts where no
  /// other clip has exactly that name. Throws UserError for a clip with two, and for a folder that cannot be read.
  std::filesystem::path find(const std::string& clip);

 private:
  using Folder = std::multimap<std::string, std::string>;  ///< normalized stem, name of the file
  const Folder& folder(const std::filesystem::path& path);

  std::filesystem::path videos_;
  std::set<std::string> stems_;  ///< of all clips, with their folders
  std::map<std::string, Folder> folders_;
};

}  // namespace rehyat::data
