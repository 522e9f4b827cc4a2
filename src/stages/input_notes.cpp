#include "stages/input_notes.h"

#include <utility>

#include "core/error.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/json.h"

namespace rehyat::stages {
namespace {

using json = nlohmann::ordered_json;

/// Paths are bytes, which need not be UTF-8.
std::string note_text(const json& note, int indent = -1) {
  return note.dump(indent, ' ', false, json::error_handler_t::replace);
}

json read_note(const std::filesystem::path& file) {
  JsonLimits limits;
  limits.bytes = 64 << 20;
  limits.what = "a note of what an input was";
  limits.hint = "remove the file and bring the input back";
  const json note = read_json_object(file, limits);
  require(note.contains("said"),
          [&] { return cat(file.string(), ": found no \"said\", expected what the input was; ", limits.hint); });
  return note["said"];
}

}  // namespace

InputNotes::InputNotes(std::filesystem::path run_folder) : run_folder_(std::move(run_folder)) {}

std::filesystem::path InputNotes::file_of(const Input& input) const {
  return run_folder_ / cat("noted-", input.kind, '-', hash_text(note_text(input.of)).substr(0, 8), ".json");
}

bool InputNotes::knows(const Input& input) const {
  return std::filesystem::exists(file_of(input));
}

json InputNotes::noted(const Input& input) const {
  return read_note(file_of(input));
}

json InputNotes::said(const Input& input, const std::function<json()>& read) {
  const std::filesystem::path file = file_of(input);
  if (!input.there && std::filesystem::exists(file)) {
    if (told_.insert(input.path).second)
      log::info(input.path.string(), " is gone; what was made of it is found by ", file.string());
    return read_note(file);
  }
  json out = read();
  notes_[file] = {{"of", input.of}, {"said", out}};
  return out;
}

void InputNotes::save() const {
  for (const auto& [file, note] : notes_) keep_file(file, note_text(note, 2) + "\n");
}

std::string full_path(const std::filesystem::path& path) {
  std::string out = path.empty() ? "" : std::filesystem::absolute(path).lexically_normal().string();
  if (out.size() > 1 && out.ends_with('/')) out.pop_back();
  return out;
}

}  // namespace rehyat::stages
