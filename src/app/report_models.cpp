#include <iomanip>
#include <sstream>

#include "app/report_parts.h"
#include "core/progress.h"
#include "core/strings.h"
#include "data/video/video.h"
#include "diffusion/flow_matching.h"
#include "evaluate/held_out.h"
#include "files/atomic_file.h"
#include "sampling/generate.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;
using stages::Experiment;
using stages::WhichModel;
using State = report::Check::State;

/// "By a wide margin": the teacher's loss is below this share of the no-context predictor's.
constexpr double kWideMargin = 0.8;
constexpr double kWithinTeacher = 1.05;
constexpr double kBelowWindow = 0.75;
/// Of the clips that the models look at through noise: half of what they see.
constexpr double kNoise = 0.5;

const char* const kPointwise =
    "the posterior mean of each latent value that knows only sigma, the noisy value at that place, its channel, and "
    "whether it is in the first slice or a later one; it sees no other place or time, no text and no clip";

std::string digits(double value, int precision = 4) {
  std::ostringstream out;
  out << std::setprecision(precision) << value;
  return out.str();
}

State passed_if(bool held) {
  return held ? State::passed : State::missed;
}

std::vector<std::pair<WhichModel, std::string>> models_of(Experiment& experiment) {
  if (experiment.blocks().empty())
    return {{WhichModel::teacher, "teacher"}, {WhichModel::finetuned, "teacher trained on"}};
  return {{WhichModel::teacher, "teacher"},
          {WhichModel::undistilled, "hybrid, not distilled"},
          {WhichModel::distilled, "hybrid, distilled"},
          {WhichModel::finetuned, "hybrid, finetuned"}};
}

/// A video as the page has it, and as `name` in the run's folder.
report::Clip show(Experiment& experiment, const std::string& label, const std::string& name,
                  const at::Tensor& latents) {
  report::Clip clip{label, "", {}};
  const at::Tensor frames = experiment.decode(latents);
  const auto path = experiment.config().run.dir / name;
  data::write_video(path, frames, experiment.config().data.fps);
  clip.mp4 = read_file(path);
  for (std::int64_t i = 0; i < 5; ++i)
    clip.png_frames.push_back(data::encode_png(frames[i * (frames.size(0) - 1) / 4]));
  return clip;
}

/// One model's video; collective. Frames and file are made on rank 0.
report::Clip clip_of(Experiment& experiment, WhichModel which, const std::string& label, const std::string& prompt,
                     std::uint64_t sample) {
  models::VideoTransformer model = experiment.load(which);
  report::Clip clip;
  experiment.world().together([&] {
    if (experiment.world().rank() != 0) return;
    sampling::Request request = experiment.sample_request(model, sample);
    Progress progress(cat("report: video ", sample, ", ", label), sampling::step_count(model, request), "steps");
    request.on_step = [&] { progress.advance(); };
    const at::Tensor latents = sampling::generate(model, request, experiment.encode_prompt(prompt),
                                                  experiment.encode_prompt(experiment.config().sample.negative_prompt));
    progress.finish();
    clip = show(experiment, label, cat("report-", sample, '-', stages::to_string(which), ".mp4"), latents);
  });
  return clip;
}

}  // namespace

Losses measure_losses(Experiment& experiment, Experiment& control) {
  const bool hybrid = !experiment.blocks().empty();
  const bool has_control = hybrid && control.finetune_stage().complete();
  std::vector<evaluate::Candidate> candidates;
  const auto add = [&](const char* name, Experiment& from, WhichModel which) {
    candidates.push_back({name, [&from, which] { return from.load(which); }});
  };
  add("teacher", experiment, WhichModel::teacher);
  if (hybrid) {
    add("not distilled", experiment, WhichModel::undistilled);
    add("distilled", experiment, WhichModel::distilled);
  }
  add("finetuned", experiment, WhichModel::finetuned);
  if (has_control) add("control", control, WhichModel::finetuned);
  const evaluate::HeldOutLosses measured =
      evaluate::held_out_losses("report: validation losses", candidates, experiment.dataset(),
                                experiment.config().finetune, experiment.config().run.seed, experiment.world());
  auto next = measured.models.begin();
  Losses out;
  out.pointwise = measured.pointwise;
  out.teacher = *next++;
  if (hybrid) {
    out.undistilled = *next++;
    out.distilled = *next++;
  }
  out.finetuned = *next++;
  if (has_control) out.control = *next;
  return out;
}

void add_losses(report::ReportData& data, const Losses& l, const std::string& how_to_get_control) {
  data.losses = {{"best predictor that sees no context", l.pointwise, kPointwise},
                 {"teacher", l.teacher, "softmax attention in every block"}};
  data.checks.push_back({"The teacher beats the best predictor that sees no context by a wide margin",
                         digits(l.teacher) + " against " + digits(l.pointwise),
                         cat("below ", kWideMargin, " of it, which is what this page calls a wide margin"),
                         passed_if(l.teacher < kWideMargin * l.pointwise)});
  if (!l.undistilled) {
    data.losses.push_back({"teacher trained on", l.finetuned, "no block is converted"});
    return;
  }
  data.losses.push_back({"hybrid, not distilled", *l.undistilled, "converted blocks with feature maps as they start"});
  data.losses.push_back(
      {"hybrid, distilled", *l.distilled, "feature maps distilled block by block; nothing else trained"});
  data.losses.push_back({"hybrid, finetuned", l.finetuned, "all parameters, flow matching"});
  const char* statement = "The finetuned hybrid is within 5 % of the teacher trained for the same number of steps";
  if (!l.control) {
    data.checks.push_back({statement, "not measured: the teacher was not trained on", how_to_get_control, State::info});
    return;
  }
  data.losses.push_back({"teacher trained on", *l.control,
                         "softmax attention, for the same total number of steps as the finetuned hybrid"});
  data.checks.push_back({statement,
                         cat(digits(l.finetuned), " against ", digits(*l.control), " (",
                             digits(100 * (l.finetuned / *l.control - 1), 3), " %)"),
                         "at most 5 % above", passed_if(l.finetuned <= kWithinTeacher * *l.control)});
}

void add_distillation(report::ReportData& data, Experiment& experiment) {
  const json summary = experiment.distill_stage().summary();
  const models::BlockMap blocks = experiment.blocks();
  for (const json& r : summary.at("blocks"))
    data.errors.push_back({r.at("block"), ops::to_string(blocks.at(r.at("block")).spec), r.at("window_only"),
                           r.at("untrained"), r.at("distilled")});
  const double window = summary.at("window_only"), before = summary.at("untrained"), after = summary.at("distilled");
  data.checks.push_back({"Distillation lowers the mean relative error of the attention outputs",
                         digits(before, 3) + " to " + digits(after, 3), "below that of untrained feature maps",
                         passed_if(after < before)});
  data.checks.push_back({"The linear branch is worth having",
                         digits(after, 3) + " against " + digits(window, 3) + " for the windowed softmax alone",
                         "at least a quarter lower", passed_if(after <= kBelowWindow * window)});
}

void add_denoised(report::ReportData& data, Experiment& experiment) {
  const stages::ExperimentConfig& config = experiment.config();
  std::vector<finetune::FlowSample> samples;
  const auto on_rank_0 = [&](const std::function<void(std::size_t)>& work) {
    experiment.world().together([&] {
      if (experiment.world().rank() != 0) return;
      for (std::size_t i = 0; i < samples.size(); ++i) work(i);
    });
  };
  experiment.world().together(
      [&] { samples = evaluate::noised_clips(experiment.dataset(), config.report.prompts, kNoise, config.run.seed); });
  for (const finetune::FlowSample& sample : samples) data.denoised.push_back({sample.caption, kNoise, {}});
  const auto add = [&](std::size_t i, const std::string& label, const std::string& name, const at::Tensor& latents) {
    data.denoised[i].clips.push_back(show(experiment, label, cat("report-clip-", i, '-', name, ".mp4"), latents));
  };
  const auto models = models_of(experiment);
  Progress progress("report: clips through noise", static_cast<std::int64_t>(models.size() + 1), "models");
  on_rank_0([&](std::size_t i) {
    add(i, "the clip", "original", samples[i].x0);
    add(i, "with noise", "noised", diffusion::noised(samples[i].x0, samples[i].noise, kNoise));
  });
  progress.advance(1, "clips");
  for (const auto& [which, label] : models) {
    models::VideoTransformer model = experiment.load(which);
    on_rank_0([&, which = which, label = label](std::size_t i) {
      const auto compute = compute_type(config.finetune.precision, experiment.device());
      add(i, label, stages::to_string(which), evaluate::denoised(model, samples[i], compute));
    });
    progress.advance(1, label);
  }
  progress.finish();
}

void add_comparisons(report::ReportData& data, Experiment& experiment) {
  const auto prompts = experiment.sample_prompts();
  const auto count =
      std::min<std::size_t>(prompts.size(), static_cast<std::size_t>(experiment.config().report.prompts));
  for (std::size_t i = 0; i < count; ++i) {
    report::Comparison comparison{prompts[i], experiment.config().sample.seed, {}};
    for (const auto& [which, label] : models_of(experiment))
      comparison.clips.push_back(clip_of(experiment, which, label, prompts[i], i));
    data.comparisons.push_back(std::move(comparison));
  }
}

}  // namespace rehyat::app
