#include "data/sources/webdataset.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/error.h"
#include "core/strings.h"
#include "data/sources/caption_json.h"
#include "data/sources/clips.h"
#include "files/json.h"
#include "files/tar.h"
#include "files/text_file.h"

namespace rehyat::data {
namespace {

constexpr std::uint64_t kMaxJson = 1 << 20;  // bytes

struct Sample {
  const TarMember *video = nullptr, *text = nullptr, *json = nullptr;
};

/// The name up to the first dot of its last part, and what follows the dot, in lower case.
std::pair<std::string, std::string> key_of(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  const std::size_t dot = name.find('.', slash == std::string::npos ? 0 : slash + 1);
  if (dot == std::string::npos) return {name, ""};
  std::string extension = name.substr(dot + 1);
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
  return {name.substr(0, dot), extension};
}

bool hidden(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  return name[slash == std::string::npos ? 0 : slash + 1] == '.';
}

CaptionEntry caption_of(const Sample& sample, const FileBytes& archive, const std::string& label) {
  const std::string clip = label + "/" + sample.video->name;
  if (sample.text) {
    const std::string where = archive.path().string() + "/" + sample.text->name;
    const std::string text = read_member(archive, *sample.text, kMaxCaption);
    return {where, clip, std::string(text_in(text, where)), ""};
  }
  const std::string where = archive.path().string() + "/" + sample.json->name;
  JsonLimits limits;
  limits.what = R"({"caption": "…"})";
  const auto object = parse_json(read_member(archive, *sample.json, kMaxJson), where, limits);
  require(object.is_object(), [&] { return to_sentence({where, "no object", R"({"caption": "…"})", ""}); });
  const std::string caption = string_or_null(object, "caption", where);
  return {where, clip, caption.empty() ? string_or_null(object, "text", where) : caption,
          string_or_null(object, "group", where)};
}

}  // namespace

ArchiveClips list_archive(const std::filesystem::path& path, const std::string& label) {
  const std::vector<TarMember> members = list_tar(path);
  std::map<std::string, Sample> samples;
  ArchiveClips out;
  for (const TarMember& member : members) {
    const auto [key, extension] = key_of(member.name);
    const bool video = is_video_name(member.name);
    if (hidden(member.name) || (!video && extension != "txt" && extension != "json")) {
      ++out.other_members;
      continue;
    }
    Sample& sample = samples[key];
    const TarMember*& place = video ? sample.video : extension == "txt" ? sample.text : sample.json;
    require(place == nullptr, [&] {
      return to_sentence({path.string(),
                          cat("two ", video ? "videos" : "captions", " of the sample \"", key, "\": ", place->name,
                              " and ", member.name),
                          "one a sample", "the name up to the first dot is the sample's"});
    });
    place = &member;
  }
  const FileBytes archive(path);
  for (const auto& [key, sample] : samples) {
    if (!sample.video) {
      out.other_members += (sample.text != nullptr) + (sample.json != nullptr);
      continue;
    }
    out.clips.emplace_back(path, sample.video->name, sample.video->offset, sample.video->bytes);
    if (sample.text || sample.json) out.captions.push_back(caption_of(sample, archive, label));
  }
  return out;
}

}  // namespace rehyat::data
