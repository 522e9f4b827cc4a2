#include "stages/setting_sides.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "core/strings.h"

namespace rehyat::stages {
namespace {

using json = nlohmann::ordered_json;

struct Row {
  std::vector<std::string> sections;
  std::vector<std::string> settings;  ///< a whole section of its own takes one line
  Side side;
};

/// Every setting of every section, as the config names it.
const std::vector<Row>& table() {
  static const std::vector<Row> rows = {
      {{"run"}, {"seed"}, Side::result},
      {{"run"}, {"dir"}, Side::place},
      {{"run"}, {"threads", "device"}, Side::speed},  // what `auto` makes of a precision is in the precision
      {{"run"}, {"gpu_tflops", "gpu_memory"}, Side::limit},

      {{"model"}, {"weights", "published", "vae", "text", "encoders"}, Side::place},
      {{"model"}, {"family", "architecture"}, Side::result},
      {{"model"}, {"vae_precision", "vae_weights_precision", "vae_tiling", "text_precision"}, Side::result},
      {{"model"}, {"vae_tiling.offload"}, Side::speed},

      {{"hybrid"}, {"blocks", "attention", "groups"}, Side::result},

      {{"data"}, {"videos", "captions"}, Side::place},
      {{"data"}, {"size", "frames", "buckets", "upscale", "fps", "stride"}, Side::result},
      {{"data"}, {"max_windows", "short_clips", "crops", "flip", "validation_share"}, Side::result},
      {{"data"}, {"allow_missing_captions", "max_bad_share"}, Side::limit},
      {{"data"}, {"clips_per_shard"}, Side::record},
      {{"data"}, {"decode_threads"}, Side::speed},

      {{"pretrain", "finetune", "distill"}, {"iterations", "lr", "schedule", "warmup"}, Side::result},
      {{"pretrain", "finetune", "distill"}, {"final_lr_share", "beta1", "beta2", "eps"}, Side::result},
      {{"pretrain", "finetune", "distill"}, {"weight_decay", "clip_norm", "ema_decay"}, Side::result},
      {{"pretrain", "finetune", "distill"}, {"precision", "validation_samples"}, Side::result},
      {{"pretrain", "finetune", "distill"}, {"checkpoint_every", "keep_checkpoints"}, Side::record},
      {{"pretrain", "finetune", "distill"}, {"validate_every", "log_every"}, Side::record},
      {{"pretrain", "finetune"}, {"flow", "global_batch", "caption_dropout", "trainable"}, Side::result},
      {{"pretrain", "finetune"}, {"micro_batch", "recompute", "memory", "offload"}, Side::speed},
      {{"distill"}, {"source", "loss", "online"}, Side::result},
      {{"distill"}, {"keep_on_device", "keep_on_host", "threads"}, Side::speed},
      {{"distill"}, {"online.memory"}, Side::limit},

      {{"cache"}, {"prompts"}, Side::place},
      {{"cache"}, {"max_prompts", "seeds", "sampler", "guidance", "keep_per_trajectory"}, Side::result},
      {{"cache"}, {"validation_share", "precision", "dtype", "store_targets"}, Side::result},
      {{"cache"}, {"quota"}, Side::limit},

      {{"sample"}, {"prompts_file", "noise"}, Side::place},
      {{"sample"}, {"prompts", "negative_prompt", "videos_per_prompt", "max_prompts"}, Side::result},
      {{"sample"}, {"sampler", "guidance", "precision", "model", "seed", "keep_frames"}, Side::result},
      {{"sample"}, {"form"}, Side::speed},  // every form computes the same function

      {{"export"}, {"formats", "dtype", "model", "max_shard"}, Side::result},
      {{"verify"}, {"model", "tolerance"}, Side::result},
      {{"report"}, {"title", "prompts"}, Side::result},
      {{"report"}, {"commands"}, Side::place},
      {{"report"}, {"budget"}, Side::record},
  };
  return rows;
}

const Row* row_of(const std::string& setting) {
  for (const Row& row : table()) {
    for (const std::string& section : row.sections) {
      if (!setting.starts_with(section + ".")) continue;
      if (std::ranges::count(row.settings, setting.substr(section.size() + 1)) > 0) return &row;
    }
  }
  return nullptr;
}

/// Whether the table places a setting inside of this one.
bool has_rows_below(const std::string& setting) {
  return std::ranges::any_of(table(), [&](const Row& row) {
    return std::ranges::any_of(row.sections, [&](const std::string& section) {
      return std::ranges::any_of(
          row.settings, [&](const std::string& name) { return cat(section, ".", name).starts_with(setting + "."); });
    });
  });
}

}  // namespace

Side side_of(const std::string& setting) {
  for (std::string name = setting; name.find('.') != std::string::npos; name.resize(name.rfind('.'))) {
    if (const Row* row = row_of(name)) return row->side;
  }
  throw std::logic_error(cat("no row of setting_sides.cpp says what ", setting, " decides"));
}

json deciding(const std::string& section, const json& settings) {
  json out = json::object();
  for (const auto& [key, value] : settings.items()) {
    const std::string name = cat(section, ".", key);
    if (value.is_object() && has_rows_below(name)) {
      out[key] = deciding(name, value);
    } else if (side_of(name) == Side::result) {
      out[key] = value;
    }
  }
  return out;
}

}  // namespace rehyat::stages
