#include "ops/attention_spec.h"

#include <algorithm>

#include "core/strings.h"

namespace rehyat::ops {
namespace {

const std::vector<std::pair<std::string, Normalizer>> kNormalizers = {
    {"joint", Normalizer::joint}, {"row_max", Normalizer::row_max}, {"lse", Normalizer::lse}};

bool among(const AttentionKinds& kinds, const AttentionKind* kind) {
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

/// "with kind rehyat", "with the kinds rehyat and linear".
std::string with(const AttentionKinds& kinds) {
  std::vector<std::string> names;
  for (const AttentionKind* kind : kinds) names.push_back(kind->name());
  return (names.size() == 1 ? "with kind " : "with the kinds ") + join(names, " and ");
}

config::Field& add_setting(config::Fields& f, AttentionSpec& spec, const Setting& setting, const std::string& kind) {
  const std::string doc = cat(kind, ": ", setting.doc);
  if (setting.flag != nullptr) return f.add(setting.name, spec.*setting.flag, doc);
  const auto least = static_cast<double>(setting.at_least);
  if (setting.number != nullptr) return f.add(setting.name, spec.*setting.number, doc).at_least(least);
  const auto set = [&spec, setting](std::int64_t value) {
    if (value == setting.fallback) {
      spec.own.erase(setting.name);
    } else {
      spec.own[setting.name] = value;
    }
  };
  return f
      .number(
          setting.name, [&spec, setting] { return spec.value(setting); }, set, doc)
      .at_least(least);
}

/// A setting with the kinds that have it.
struct SharedSetting {
  std::string name;
  config::Field* field;
  AttentionKinds kinds;
};

}  // namespace

void AttentionSpec::fields(config::Fields& f, const AttentionKinds& kinds) {
  AttentionKinds known = kinds, blending;
  if (!among(known, kind)) known.push_back(kind);
  std::vector<std::pair<std::string, const AttentionKind*>> names;
  for (const AttentionKind* each : known) {
    names.emplace_back(each->name(), each);
    if (each->has_softmax() && each->has_linear()) blending.push_back(each);
  }
  f.choice("kind", kind, names, "which attention the block runs");
  std::vector<SharedSetting> settings;
  for (const AttentionKind* each : known) {
    for (const Setting& setting : each->settings()) {
      auto found =
          std::find_if(settings.begin(), settings.end(), [&](const auto& s) { return s.name == setting.name; });
      if (found == settings.end())
        found = settings.insert(found, {setting.name, &add_setting(f, *this, setting, each->name()), {}});
      found->kinds.push_back(each);
    }
  }
  for (const SharedSetting& setting : settings)
    setting.field->only(with(setting.kinds), [this, having = setting.kinds] { return among(having, kind); });
  f.choice("normalizer", normalizer, kNormalizers, "how the softmax and the linear branch share the mass")
      .only(with(blending), [this] { return blends(); });
}

std::int64_t AttentionSpec::value(const Setting& setting) const {
  if (setting.flag != nullptr) return this->*setting.flag ? 1 : 0;
  if (setting.number != nullptr) return this->*setting.number;
  const auto given = own.find(setting.name);
  return given == own.end() ? setting.fallback : given->second;
}

std::optional<std::int64_t> AttentionSpec::value(std::string_view setting) const {
  for (const Setting& each : kind->settings()) {
    if (each.name == setting) return value(each);
  }
  return std::nullopt;
}

void AttentionSpec::validate() const {
  for (const Setting& setting : kind->settings()) {
    if (setting.flag != nullptr) continue;
    require(value(setting) >= setting.at_least, [&] {
      return cat("[attention] ", setting.name, ": found ", value(setting), ", expected at least ", setting.at_least);
    });
  }
  for (const auto& item : own)
    require(value(item.first).has_value(), [&] {
      return cat("[attention] ", item.first, ": found a setting that the kind ", kind->name(), " does not have");
    });
}

std::string to_string(Normalizer normalizer) {
  return std::find_if(kNormalizers.begin(), kNormalizers.end(),
                      [normalizer](const auto& item) { return item.second == normalizer; })
      ->first;
}

std::string to_string(const AttentionSpec& spec) {
  std::vector<std::string> values;
  for (const Setting& setting : spec.kind->settings()) {
    const std::int64_t value = spec.value(setting);
    values.push_back(setting.flag != nullptr ? cat(value != 0 ? "" : "non-", setting.name)
                                             : cat(setting.name, '=', value));
  }
  if (spec.blends()) values.push_back(to_string(spec.normalizer));
  return values.empty() ? spec.kind->name() : cat(spec.kind->name(), '(', join(values, ","), ')');
}

ChunkByChunk chunk_by_chunk(const std::vector<AttentionSpec>& blocks) {
  ChunkByChunk out;
  std::vector<std::int64_t> sizes;
  for (const AttentionSpec& spec : blocks) sizes.push_back(spec.recurrence().value_or(Recurrence{.chunk = 0}).chunk);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0 && !out.unable) out.unable = i;
    if (sizes[i] != sizes[0] && !out.other_size) out.other_size = i;
  }
  if (!sizes.empty() && !out.unable && !out.other_size) out.chunk = sizes[0];
  return out;
}

std::vector<Chunk> chunks_of(std::int64_t slices, std::int64_t size, std::int64_t overlap) {
  require(slices >= 1 && size >= 1 && overlap >= 0, [&] {
    return cat("[attention] chunks: found ", slices, " slices, tc = ", size, ", to = ", overlap,
               ", expected slices >= 1, tc >= 1, to >= 0");
  });
  std::vector<Chunk> chunks;
  for (std::int64_t begin = 0; begin < slices; begin += size) {
    const std::int64_t end = std::min(begin + size, slices);
    chunks.push_back({{begin, end}, {std::max<std::int64_t>(begin - overlap, 0), end}});
  }
  return chunks;
}

}  // namespace rehyat::ops
