#include "data/sources/videos2caption.h"

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/strings.h"
#include "data/sources/caption_json.h"
#include "files/json.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;

constexpr const char* kForm = R"({"path": "…", "cap": "…"})";

[[noreturn]] void refuse_entry(const std::string& where, const std::string& found, const std::string& expected,
                               const std::string& hint = "") {
  throw UserError(Mistake{where, found, expected, hint});
}

/// "cap" is one text, or several of one video.
std::string caption_of(const json& entry, const std::string& where) {
  const auto found = entry.find("cap");
  if (found == entry.end() || found->is_null()) return "";  // a missing caption, which may be allowed
  if (found->is_string()) return *found;
  if (!found->is_array())
    refuse_entry(where, cat("\"cap\" of type ", found->type_name()), "a string or a list of strings");
  for (const json& text : *found)
    if (!text.is_string()) refuse_entry(where, cat("\"cap\" with a ", text.type_name()), "a list of strings");
  return found->empty() ? "" : found->front().get<std::string>();
}

void check_number(const json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return;
  if (!found->is_number() || found->get<double>() <= 0)
    refuse_entry(where, cat("\"", key, "\": ", excerpt(found->dump())), "a positive number");
}

CaptionEntry entry_of(const json& entry, const std::string& where) {
  if (!entry.is_object()) refuse_entry(where, cat("a ", entry.type_name()), kForm);
  const std::string path = required_string(entry, "path", where, kForm);
  for (const char* part : {"cut", "crop"}) {
    if (entry.contains(part) && !entry[part].is_null())
      refuse_entry(where, cat("\"", part, "\", a part of the video"), "whole videos",
                   "cut them into files of their own");
  }
  for (const char* key : {"fps", "duration", "num_frames"}) check_number(entry, key, where);
  const auto resolution = entry.find("resolution");
  if (resolution != entry.end() && !resolution->is_null()) {
    if (!resolution->is_object())
      refuse_entry(where, cat("\"resolution\" of type ", resolution->type_name()), R"({"width": …, "height": …})");
    for (const char* key : {"width", "height"}) check_number(*resolution, key, where);
  }
  return {where, path, caption_of(entry, where), string_or_null(entry, "group", where)};
}

}  // namespace

std::vector<CaptionEntry> read_videos2caption(const std::filesystem::path& path) {
  JsonLimits limits;
  limits.values = 200'000'000;
  limits.what = "a list of videos and captions";
  const json list = read_json(path, limits);
  if (!list.is_array()) refuse_entry(path.string(), cat("a JSON ", list.type_name()), cat("a list of ", kForm));
  std::vector<CaptionEntry> entries;
  for (const json& entry : list) entries.push_back(entry_of(entry, cat(path.string(), ", entry ", entries.size() + 1)));
  return entries;
}

}  // namespace rehyat::data
