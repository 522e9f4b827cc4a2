#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>

namespace rehyat::data {

/// Clips that a dataset leaves out, each with the reason, for people to read: the damaged ones in quarantine.jsonl and
/// those that fit no bucket in dropped.jsonl.
class LeftOutClips {
 public:
  /// Adds a clip; a later reason replaces an earlier one.
  void add(const std::string& clip, const std::string& reason) { reasons_[clip] = reason; }
  std::size_t size() const { return reasons_.size(); }

  /// Writes one {"file": …, "reason": …} a line, sorted by file, whole or not at all.
  void save(const std::filesystem::path& path) const;
  /// Throws UserError when more than `share` (0 to 1) of `total` clips are left out, or all of them. The message names
  /// `path`, where the list was saved, data.max_bad_share and the way out.
  void require_at_most(double share, std::size_t total, const std::filesystem::path& path) const;

 private:
  std::map<std::string, std::string> reasons_;
};

}  // namespace rehyat::data
