#include "data/sources/captions.h"

#include <nlohmann/json.hpp>
#include <string_view>

#include "core/error.h"
#include "core/strings.h"
#include "data/sources/caption_json.h"
#include "data/sources/clip_names.h"
#include "data/sources/clips.h"
#include "data/sources/videos2caption.h"
#include "files/json.h"
#include "files/text_file.h"

namespace rehyat::data {
namespace {

using Entry = CaptionEntry;

constexpr const char* kLineForm = R"({"file": "…", "caption": "…"})";

[[noreturn]] void refuse_caption(const std::string& where, const std::string& found, const std::string& expected,
                                 const std::string& hint = "") {
  throw UserError(Mistake{where, found, expected, hint});
}

std::vector<Entry> read_jsonl(const std::filesystem::path& path) {
  const std::string text = read_text(path);
  std::vector<Entry> entries;
  std::size_t number = 0;
  for (const std::string& line : split(text, '\n')) {
    const std::string where = cat(path.string(), ":", ++number);
    if (trim(line).empty()) continue;
    JsonLimits limits;
    limits.what = kLineForm;
    const auto fields = parse_json_line(line, path, number, limits);
    if (!fields.is_object()) refuse_caption(where, cat("JSON that is no object (", fields.type_name(), ")"), kLineForm);
    entries.push_back({where, required_string(fields, "file", where, kLineForm),
                       string_or_null_of(fields, "caption", where, kLineForm), string_or_null(fields, "group", where)});
  }
  return entries;
}

/// CSV as in RFC 4180: fields may be quoted, quotes in them doubled, and line ends in them kept.
class CsvReader {
 public:
  CsvReader(std::string_view text, std::string name) : text_(text), name_(std::move(name)) {}

  std::string where() const { return cat(name_, ":", row_line_); }

  /// The next row that is not empty; false at the end.
  bool next(std::vector<std::string>& row) {
    while (position_ < text_.size()) {
      row.clear();
      row_line_ = line_;
      do row.push_back(field());
      while (take(','));
      // A carriage return alone ends the lines of old Macs, and of Excel's "CSV (Macintosh)".
      const bool carriage_return = take('\r');
      if (!take('\n') && !carriage_return && position_ < text_.size())
        refuse_caption(where(), "text after a quoted field", "a comma or a new line");
      ++line_;
      if (row.size() > 1 || !trim(row[0]).empty()) return true;
    }
    return false;
  }

 private:
  bool take(char wanted) {
    if (position_ >= text_.size() || text_[position_] != wanted) return false;
    ++position_;
    return true;
  }

  std::string field() {
    std::string out;
    if (!take('"')) {
      const std::size_t end = std::min(text_.find_first_of(",\r\n", position_), text_.size());
      out = text_.substr(position_, end - position_);
      position_ = end;
      return out;
    }
    for (;;) {
      if (position_ >= text_.size()) refuse_caption(where(), "a quote that is never closed", "a closing quote");
      const char c = text_[position_++];
      if (c == '"' && !take('"')) return out;
      if (c == '\n') ++line_;
      out += c;
    }
  }

  std::string_view text_;
  std::string name_;
  std::size_t position_ = 0, line_ = 1, row_line_ = 1;
};

std::vector<Entry> read_csv(const std::filesystem::path& path) {
  const std::string text = read_text(path);
  CsvReader reader(text, path.string());
  std::vector<std::string> row;
  if (!reader.next(row)) refuse_caption(path.string(), "an empty file", "a header with the columns file and caption");
  const auto column = [&](const std::string& name, bool optional = false) {
    std::size_t place = row.size();
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (trim(row[i]) != name) continue;
      if (place < row.size()) refuse_caption(reader.where(), cat("the column ", name, " twice"), "it once");
      place = i;
    }
    if (place < row.size() || optional) return place;
    const bool other_separator = row.size() == 1 && row[0].find_first_of(";\t|") != std::string::npos;
    refuse_caption(reader.where(), cat("the columns ", join(row, ",")), cat("a header with the column ", name),
                   other_separator ? "columns are separated by commas: save it as CSV with commas" : "");
  };
  const std::size_t file = column("file"), caption = column("caption"), columns = row.size();
  const std::size_t group = column("group", true);
  std::vector<Entry> entries;
  while (reader.next(row)) {
    if (row.size() != columns)
      refuse_caption(reader.where(), cat(row.size(), " fields"), cat(columns, " as in the header"),
                     "quote a caption that has a comma in it");
    entries.push_back({reader.where(), row[file], row[caption], group < columns ? row[group] : ""});
  }
  return entries;
}

std::vector<Entry> read_beside(const std::filesystem::path& videos, const std::vector<std::string>& clips) {
  std::vector<Entry> entries;
  TextsBeside texts(videos, clips);
  for (const std::string& clip : clips) {
    const std::filesystem::path text = texts.find(clip);
    if (!text.empty()) entries.push_back({text.string(), clip, read_text(text, kMaxCaption), ""});
  }
  return entries;
}

std::vector<Entry> read_entries(const CaptionSource& source, const std::vector<std::string>& clips) {
  if (source.metadata.empty()) return source.in_archives ? source.archived : read_beside(source.videos, clips);
  const std::string extension = lower_extension(source.metadata);
  if (extension == ".jsonl") return read_jsonl(source.metadata);
  if (extension == ".csv") return read_csv(source.metadata);
  if (extension == ".json") return read_videos2caption(source.metadata);
  refuse_caption(source.metadata.string(), cat("the extension \"", extension, "\""), ".jsonl, .csv or .json");
}

}  // namespace

Captions Captions::load(const CaptionSource& source, const std::vector<std::string>& clips) {
  Captions result;
  const ClipNames names(clips, source.videos);
  std::map<std::string, std::string> named_at;
  for (const Entry& entry : read_entries(source, clips)) {
    const std::string& clip = names.find(entry.file, entry.where);
    const auto [first, added] = named_at.emplace(clip, entry.where);
    if (!added)
      refuse_caption(entry.where, cat("a second caption of \"", clip, "\""), "one",
                     cat("the first is ", first->second));
    if (entry.caption.size() > kMaxCaption)
      refuse_caption(entry.where, cat("a caption of ", entry.caption.size(), " bytes"), cat("at most ", kMaxCaption));
    const std::string_view caption = trim(entry.caption);
    if (!caption.empty()) result.captions_.emplace(clip, caption);
    if (!trim(entry.group).empty()) result.groups_.emplace(clip, trim(entry.group));
  }
  for (const std::string& clip : clips) {
    if (result.captions_.contains(clip)) continue;
    if (!source.allow_missing)
      refuse_caption(source.metadata.empty() ? (source.videos / clip).string() : source.metadata.string(),
                     cat("no caption of \"", clip, "\""), "one a clip", "add it, or allow clips without captions");
    result.captions_.emplace(clip, "");
    ++result.missing_;
  }
  return result;
}

Captions::Captions(const nlohmann::ordered_json& content)
    : captions_(content.at("captions").get<std::map<std::string, std::string>>()),
      groups_(content.at("groups").get<std::map<std::string, std::string>>()),
      missing_(content.at("missing")) {}

nlohmann::ordered_json Captions::content() const {
  return {{"captions", captions_}, {"groups", groups_}, {"missing", missing_}};
}

const std::string& Captions::at(const std::string& clip) const {
  const auto found = captions_.find(clip);
  if (found == captions_.end()) refuse_caption(clip, "no caption", "a clip whose captions were loaded");
  return found->second;
}

const std::string& Captions::group(const std::string& clip) const {
  static const std::string none;
  const auto found = groups_.find(clip);
  return found == groups_.end() ? none : found->second;
}

}  // namespace rehyat::data
