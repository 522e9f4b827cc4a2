#include "text/vocabulary.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/error.h"
#include "core/strings.h"
#include "files/found_source.h"
#include "files/json.h"

namespace rehyat::text {
namespace {

using json = nlohmann::ordered_json;
constexpr std::uint64_t kLargestJson = std::uint64_t{256} << 20;
constexpr std::int64_t kDefaultExtra = 100, kMostExtra = 10'000;

json read_object(const std::filesystem::path& path) {
  JsonLimits limits;
  limits.bytes = kLargestJson;
  return read_json_object(path, limits);
}

std::string decode_base64(const std::string& text, const std::string& where) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    if (c == '=') break;
    const std::size_t digit = digits.find(c);
    require(digit != std::string_view::npos,
            [&] { return where + ": found a precompiled_charsmap that is no base64, expected one"; });
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(static_cast<unsigned char>(bits >> count & 0xFF));
    }
  }
  return out;
}

/// The charsmap of a normalizer, which may stand in a sequence of them.
std::string find_charsmap(const json& normalizer, const std::string& where) {
  if (!normalizer.is_object()) return "";
  const std::string type = value_at<std::string>(normalizer, "type", "", where);
  if (type == "Sequence" && normalizer.contains("normalizers")) {
    for (const json& inner : normalizer["normalizers"]) {
      std::string found = find_charsmap(inner, where);
      if (!found.empty()) return found;
    }
  }
  const json map = normalizer.value("precompiled_charsmap", json());
  return type == "Precompiled" && map.is_string() ? decode_base64(map, where) : "";
}

void add_special(Vocabulary& vocabulary, const json& token, const json& id, const std::string& where) {
  require(token.is_object() && token.contains("content") && token["content"].is_string() &&
              !token["content"].get_ref<const std::string&>().empty() && is_value_of<std::int32_t>(id) && id >= 0,
          [&] { return where + ": found an added token without content or id, expected both"; });
  // Spaces beside a token are dropped in any case, so lstrip and rstrip change nothing.
  require(!value_at(token, "single_word", false, where), [&] {
    return cat(where, ": found the token ", token["content"].dump(), " with single_word, expected tokens without it");
  });
  vocabulary.special.emplace_back(token["content"], id);
}

Vocabulary read_tokenizer_json(const std::filesystem::path& path) {
  const std::string where = path.string();
  const json file = read_object(path);
  const json model = file.value("model", json::object());
  // Older files leave the type out.
  require(model.is_object() && value_at<std::string>(model, "type", "Unigram", where) == "Unigram" &&
              model.contains("vocab") && model["vocab"].is_array() && !model["vocab"].empty(),
          [&] { return where + ": found no unigram model, expected the tokenizer.json of a T5 tokenizer"; });
  Vocabulary out;
  out.source = where;
  for (const json& piece : model["vocab"]) {
    require(piece.is_array() && piece.size() == 2 && piece[0].is_string() && piece[1].is_number(),
            [&] { return cat(where, ": found ", describe_json(piece), " as a piece, expected text and score"); });
    out.pieces.emplace_back(piece[0], piece[1]);
  }
  const json unknown = model.value("unk_id", json());
  require(is_value_of<std::int64_t>(unknown),
          [&] { return where + ": found no unk_id, expected that of a T5 tokenizer"; });
  out.unknown = unknown;
  out.charsmap = find_charsmap(file.value("normalizer", json()), where);
  for (const json& token : file.value("added_tokens", json::array()))
    add_special(out, token, token.is_object() ? token.value("id", json()) : json(), where);
  return out;
}

/// A token's name: text, or an object with its content.
std::string token_name(const json& config, const char* key, const char* absent) {
  const json value = config.value(key, json(absent));
  if (value.is_object()) return value_or<std::string>(value, "content", absent);
  return value.is_string() ? value.get<std::string>() : absent;
}

std::int64_t id_of(const Vocabulary& vocabulary, const std::string& token) {
  for (const auto& [name, id] : vocabulary.special) {
    if (name == token) return id;
  }
  for (std::size_t i = 0; i < vocabulary.pieces.size(); ++i) {
    if (vocabulary.pieces[i].first == token) return static_cast<std::int64_t>(i);
  }
  throw UserError({vocabulary.source, "no token '" + token + "'", "the vocabulary of a T5 tokenizer", ""});
}

void apply_config(Vocabulary& vocabulary, const json& config, const std::string& where) {
  const json added = config.value("added_tokens_decoder", json::object());
  for (const auto& [id, token] : added.items()) {
    const bool number = !id.empty() && id.size() < 10 && id.find_first_not_of("0123456789") == std::string::npos;
    add_special(vocabulary, token, number ? json(std::stoll(id)) : json(), where);
  }
  const std::string end = token_name(config, "eos_token", "</s>"), padding = token_name(config, "pad_token", "<pad>"),
                    unknown = token_name(config, "unk_token", "<unk>");
  vocabulary.end = id_of(vocabulary, end);
  vocabulary.padding = id_of(vocabulary, padding);
  for (const std::string& name : {end, padding, unknown})
    vocabulary.special.emplace_back(name, id_of(vocabulary, name));
}

void check(const Vocabulary& vocabulary) {
  require(vocabulary.unknown >= 0 && vocabulary.unknown < static_cast<std::int64_t>(vocabulary.pieces.size()), [&] {
    return cat(vocabulary.source, ": found the unknown token's id ", vocabulary.unknown, ", expected one of ",
               vocabulary.pieces.size(), " pieces");
  });
  for (const auto& [piece, score] : vocabulary.pieces) {
    require(std::isfinite(score), [&] {
      return cat(vocabulary.source, ": found a score of piece '", piece, "' that is not finite, expected a number");
    });
  }
}

std::filesystem::path find_file(const std::filesystem::path& folder) {
  const SourceNames sources = {"the tokenizer",
                               {{"tokenizer.json"}, {"spiece.model"}, {"tokenizer.model", "sentencepiece.model"}},
                               "as transformers does",
                               "move the one that is not meant to another folder"};
  if (const auto found = find_source(folder, sources)) return *found;
  throw UserError({folder.string(), "neither tokenizer.json nor spiece.model", "the folder of a T5 tokenizer",
                   "point to the tokenizer's folder of a diffusers model"});
}

}  // namespace

Vocabulary read_vocabulary(const std::filesystem::path& path) {
  const bool folder = std::filesystem::is_directory(path);
  const std::filesystem::path file = folder ? find_file(path) : path,
                              config_file = file.parent_path() / "tokenizer_config.json";
  const json config = std::filesystem::exists(config_file) ? read_object(config_file) : json::object();
  Vocabulary out;
  if (file.extension() == ".json") {
    out = read_tokenizer_json(file);
  } else {
    const json extra = config.value("extra_ids", json(kDefaultExtra));
    require(is_value_of<std::int64_t>(extra) && extra >= 0 && extra <= kMostExtra, [&] {
      return cat(config_file.string(), ": found ", describe_json(extra), " of extra_ids, expected 0 to ", kMostExtra);
    });
    out = read_sentencepiece(file, extra);
  }
  apply_config(out, config, config_file.string());
  check(out);
  return out;
}

}  // namespace rehyat::text
