#include "data/sources/clip_names.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/strings.h"
#include "core/utf8.h"
#include "data/sources/clips.h"
#include "text/unicode.h"

namespace rehyat::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSameLook =
    "names that differ only in Unicode normalization (NFC, NFD) look the same; rename one";

std::string plain_path(std::string_view name) {
  return fs::path(name).lexically_normal().generic_string();
}

std::string stem_path(const std::string& clip) {
  return fs::path(clip).replace_extension().generic_string();
}

}  // namespace

std::string normalized_name(const std::string& name) {
  const bool ascii = std::ranges::all_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (ascii || invalid_utf8(name)) return name;
  return text::to_utf8(text::compose(text::from_utf8(name)));
}

ClipNames::ClipNames(const std::vector<std::string>& clips, fs::path folder)
    : clips_(clips), folder_(std::move(folder)), known_(clips.begin(), clips.end()) {
  for (const std::string& clip : clips) normalized_[normalized_name(clip)].push_back(&clip);
}

const std::string& ClipNames::find(const std::string& name, const std::string& where) const {
  const std::string trimmed(trim(name));
  for (const std::string& spelling : {name, plain_path(name), trimmed, plain_path(trimmed)})
    if (const auto found = known_.find(spelling); found != known_.end()) return *found;
  for (const std::string& spelling : {plain_path(name), plain_path(trimmed)}) {
    const auto found = normalized_.find(normalized_name(spelling));
    if (found == normalized_.end()) continue;
    require(found->second.size() == 1, [&] {
      return to_sentence({where, cat("the clip \"", name, "\", which several videos are called"),
                          cat("one such video in ", folder_.string()), kSameLook});
    });
    return *found->second.front();
  }
  const std::string near = nearest(plain_path(trimmed), clips_);
  throw UserError({where, cat("the clip \"", name, "\""), cat("a video in ", folder_.string()),
                   near.empty() ? "paths are relative to that folder" : cat("did you mean \"", near, "\"?")});
}

TextsBeside::TextsBeside(fs::path videos, const std::vector<std::string>& clips) : videos_(std::move(videos)) {
  for (const std::string& clip : clips) stems_.insert(stem_path(clip));
}

const TextsBeside::Folder& TextsBeside::folder(const fs::path& path) {
  const auto [place, fresh] = folders_.emplace(path.generic_string(), Folder());
  if (!fresh) return place->second;
  std::error_code error;
  auto item = fs::directory_iterator(videos_ / path, error);
  for (; !error && item != fs::end(item); item.increment(error)) {
    const fs::path name = item->path().filename();
    std::error_code unknown;
    if (lower_extension(name) == ".txt" && item->is_regular_file(unknown))
      place->second.emplace(normalized_name(name.stem().string()), name.string());
  }
  require(!error, [&] {
    return to_sentence({(videos_ / path).string(), error.message(), "a folder that can be read", ""});
  });
  return place->second;
}

fs::path TextsBeside::find(const std::string& clip) {
  const fs::path parent = fs::path(clip).parent_path();
  const std::string stem = fs::path(clip).stem().string();
  std::vector<std::string> same, alike;
  const auto [begin, end] = folder(parent).equal_range(normalized_name(stem));
  for (auto item = begin; item != end; ++item) {
    const std::string other = fs::path(item->second).stem().string();
    if (other == stem) {
      same.push_back(item->second);
    } else if (!stems_.contains((parent / other).generic_string())) {
      alike.push_back(item->second);
    }
  }
  const std::vector<std::string>& found = same.empty() ? alike : same;
  require(found.size() < 2, [&] {
    return to_sentence({(videos_ / clip).string(), cat("two captions, ", join(found, " and ")), "one a clip",
                        same.empty() ? kSameLook : "remove one of the files"});
  });
  return found.empty() ? fs::path() : videos_ / parent / found.front();
}

}  // namespace rehyat::data
