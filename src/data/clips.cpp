#include "data/clips.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/strings.h"

namespace rehyat::data {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 14> kExtensions{".mp4",  ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg",
                                                       ".mpeg", ".ogv", ".wmv", ".flv", ".3gp",  ".ts",  ".gif"};

bool is_video(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::ranges::find(kExtensions, extension) != kExtensions.end();
}

}  // namespace

std::vector<std::string> list_videos(const fs::path& folder) {
  require(fs::is_directory(folder), [&] {
    return to_sentence({folder.string(), fs::exists(folder) ? "not a folder" : "nothing", "a folder of videos", ""});
  });
  std::vector<std::string> clips;
  try {
    auto item = fs::recursive_directory_iterator(folder);
    for (; item != fs::end(item); ++item) {
      const bool hidden = item->path().filename().string().starts_with('.');
      if (hidden && item->is_directory()) item.disable_recursion_pending();
      if (!hidden && item->is_regular_file() && is_video(item->path()))
        clips.push_back(item->path().lexically_relative(folder).generic_string());
    }
  } catch (const fs::filesystem_error& error) {
    throw UserError(Mistake{error.path1().string(), error.code().message(), "a folder that can be read", ""});
  }
  require(!clips.empty(), [&] {
    std::vector<std::string> names(kExtensions.begin(), kExtensions.end());
    return to_sentence({folder.string(), "no video", cat("files that end in ", join(names, " ")), ""});
  });
  std::ranges::sort(clips);
  return clips;
}

Quarantine::Quarantine(fs::path path) : path_(std::move(path)) {
  if (!fs::exists(path_)) return;
  std::size_t number = 0;
  for (const std::string& line : split(read_file(path_), '\n')) {
    ++number;
    if (trim(line).empty()) continue;
    const auto json = nlohmann::json::parse(line, nullptr, false);
    const bool fits = json.is_object() && json.contains("file") && json["file"].is_string() &&
                      json.contains("reason") && json["reason"].is_string();
    require(fits, [&] {
      return to_sentence({cat(path_.string(), ":", number), "a line that is not one of ours",
                          R"({"file": "…", "reason": "…"})", "remove the file to try all clips again"});
    });
    reasons_[json["file"]] = json["reason"];
  }
}

void Quarantine::add(const std::string& clip, const std::string& reason) {
  reasons_[clip] = reason;
}

void Quarantine::remove(const std::string& clip) {
  reasons_.erase(clip);
}

void Quarantine::save() const {
  std::string text;
  for (const auto& [clip, reason] : reasons_) {
    const nlohmann::ordered_json line{{"file", clip}, {"reason", reason}};
    // File names need not be UTF-8.
    text += line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  write_file_atomic(path_, text);
}

void Quarantine::require_share(std::size_t total, double share) const {
  const auto limit = static_cast<std::size_t>(std::floor(share * static_cast<double>(total) + 1e-9));
  if (reasons_.empty() || (reasons_.size() <= limit && reasons_.size() < total)) return;
  const auto& [clip, reason] = *reasons_.begin();
  throw UserError(Mistake{path_.string(), cat(reasons_.size(), " of ", total, " clips that cannot be used"),
                          cat("at most ", std::min(limit, total - std::min<std::size_t>(total, 1))),
                          cat("the first is ", clip, " (", reason, ")")});
}

}  // namespace rehyat::data
