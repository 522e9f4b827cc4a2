#include "diffusion/scheduler_config.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>

#include "core/error.h"
#include "core/strings.h"
#include "files/json.h"

namespace rehyat::diffusion {
namespace {

using json = nlohmann::ordered_json;

/// Lower case, without what people write between words.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != '_' && c != '-' && c != ' ' && c != '.')
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

/// A setting with one value that can be run; absent it has that value, unless it must be given.
struct Fixed {
  const char* key;
  json expected;
  bool must_be_given = false;
};

const std::vector<Fixed>& fixed_settings(SamplerKind kind) {
  static const std::vector<Fixed> unipc = {{"use_flow_sigmas", true, true},
                                           {"prediction_type", "flow_prediction", true},
                                           {"solver_order", 2},
                                           {"solver_type", "bh2"},
                                           {"predict_x0", true},
                                           {"lower_order_final", true},
                                           {"disable_corrector", json::array()},
                                           {"final_sigmas_type", "zero"},
                                           {"num_train_timesteps", 1000}};
  static const std::vector<Fixed> euler = {{"num_train_timesteps", 1000}};
  static const std::vector<Fixed> ancestral = {{"num_train_timesteps", 1000}, {"eta", 1.0}, {"s_noise", 1.0}};
  return kind == SamplerKind::unipc ? unipc : kind == SamplerKind::euler ? euler : ancestral;
}

/// Settings without influence while flow sigmas are used and everything that is off stays off.
const std::set<std::string>& idle_settings() {
  static const std::set<std::string> idle = {
      "beta_start",       "beta_end",         "beta_schedule",      "dynamic_thresholding_ratio",
      "sample_max_value", "timestep_spacing", "steps_offset",       "time_shift_type",
      "base_shift",       "max_shift",        "base_image_seq_len", "max_image_seq_len"};
  return idle;
}

/// The same number may be written as 1 or 1.0; null and absent are the same.
bool same(const json& a, const json& b) {
  return a.is_number() && b.is_number() ? a.get<double>() == b.get<double>() : a == b;
}

void check_settings(const json& values, const SamplerConfig& config, const char* shift_key, const std::string& where) {
  std::set<std::string> known = idle_settings();
  known.insert(shift_key);
  const bool original = config.grid.has_value();  // the original's scheduler knows nothing but flow
  for (const Fixed& fixed : fixed_settings(config.kind)) {
    known.insert(fixed.key);
    const json found = values.value(fixed.key, json());
    require((found.is_null() && (original || !fixed.must_be_given)) || same(found, fixed.expected), [&] {
      return cat(where, ": found ", fixed.key, " ", found.is_null() ? "missing" : found.dump(), ", expected ",
                 fixed.expected.dump(), ", the only one that is supported");
    });
  }
  for (const auto& [key, value] : values.items()) {
    if (known.contains(key) || key.starts_with("_") || value.is_null() || value == false) continue;
    if (value.is_array() && value.empty()) continue;
    throw UserError(cat(where, ": found the setting ", key, " ", value.dump(),
                        ", expected it absent, null or false; it is not supported"));
  }
}

}  // namespace

SamplerConfig sampler_of_class(const std::string& name, const std::string& where) {
  static const std::map<std::string, std::pair<SamplerKind, const char*>> kinds = {
      {"unipc", {SamplerKind::unipc, nullptr}},
      {"unipcmultistepscheduler", {SamplerKind::unipc, nullptr}},
      {"flowunipc", {SamplerKind::unipc, "original"}},
      {"flowunipcmultistepscheduler", {SamplerKind::unipc, "original"}},
      {"euler", {SamplerKind::euler, nullptr}},
      {"flowmatcheuler", {SamplerKind::euler, nullptr}},
      {"flowmatcheulerdiscrete", {SamplerKind::euler, nullptr}},
      {"flowmatcheulerdiscretescheduler", {SamplerKind::euler, nullptr}},
      {"eulerancestral", {SamplerKind::euler_ancestral, nullptr}},
      {"eulerancestralrf", {SamplerKind::euler_ancestral, nullptr}},
      {"ltxeulerancestralrf", {SamplerKind::euler_ancestral, nullptr}},
      {"ltxeulerancestralrfscheduler", {SamplerKind::euler_ancestral, nullptr}}};
  const auto found = kinds.find(plain(name));
  require(found != kinds.end(), [&] {
    return cat(where, ": found the scheduler \"", name,
               "\", expected UniPCMultistepScheduler, FlowUniPCMultistepScheduler, FlowMatchEulerDiscreteScheduler, "
               "LTXEulerAncestralRFScheduler, unipc, euler or euler_ancestral");
  });
  SamplerConfig config;
  config.kind = found->second.first;
  if (found->second.second != nullptr) config.grid = found->second.second;
  return config;
}

std::string to_string(SigmaGrid grid) {
  return grid == SigmaGrid::diffusers ? "diffusers" : grid == SigmaGrid::original ? "original" : "flow_match";
}

SigmaGrid sigma_grid_of(const std::string& name, const std::string& where) {
  static const std::map<std::string, SigmaGrid> grids = {{"diffusers", SigmaGrid::diffusers},
                                                         {"unipc", SigmaGrid::diffusers},
                                                         {"d", SigmaGrid::diffusers},
                                                         {"original", SigmaGrid::original},
                                                         {"wan", SigmaGrid::original},
                                                         {"flowunipc", SigmaGrid::original},
                                                         {"w", SigmaGrid::original},
                                                         {"flowmatch", SigmaGrid::flow_match},
                                                         {"flowmatcheuler", SigmaGrid::flow_match},
                                                         {"euler", SigmaGrid::flow_match},
                                                         {"flow", SigmaGrid::flow_match}};
  const auto found = grids.find(plain(name));
  require(found != grids.end(),
          [&] { return cat(where, ": found the grid \"", name, "\", expected diffusers, original or flow_match"); });
  return found->second;
}

SamplerConfig sampler_from_json(const json& values, const std::string& where) {
  require(values.is_object(), [&] { return where + ": found no JSON object, expected a scheduler's settings"; });
  const json name = values.value("_class_name", json());
  require(name.is_string(), [&] { return where + ": found no _class_name, expected the name of a scheduler"; });
  SamplerConfig config = sampler_of_class(name.get<std::string>(), where);
  const char* shift_key = config.kind == SamplerKind::unipc && !config.grid ? "flow_shift" : "shift";
  check_settings(values, config, shift_key, where);
  const json shift = values.value(shift_key, json(1.0));
  require(shift.is_number() && shift > 0,
          [&] { return cat(where, ": found ", shift_key, " ", shift.dump(), ", expected a number above 0"); });
  config.shift = shift;
  return config;
}

SamplerConfig read_scheduler_config(const std::filesystem::path& path) {
  const std::filesystem::path file = std::filesystem::is_directory(path) ? path / "scheduler_config.json" : path;
  return sampler_from_json(read_json_object(file), file.string());
}

}  // namespace rehyat::diffusion
