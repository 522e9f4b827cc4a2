#include <iomanip>
#include <sstream>

#include "comm/root.h"
#include "core/progress.h"
#include "core/strings.h"
#include "data/video/video.h"
#include "diffusion/flow_matching.h"
#include "evaluate/held_out.h"
#include "files/atomic_file.h"
#include "sampling/generate.h"
#include "stages/distill.h"
#include "stages/report_parts.h"
#include "stages/sample_request.h"
#include "stages/stage.h"

namespace rehyat::stages {
namespace {

using State = report::Check::State;

/// "By a wide margin": the teacher's loss is below this share of the no-context predictor's.
constexpr double kWideMargin = 0.8;
constexpr double kWithinTeacher = 1.05;
constexpr double kBelowWindow = 0.75;
/// The noise level of the clips that the models look at: half of what they see is noise.
constexpr double kNoise = 0.5;

const char* const kPointwise =
    "the posterior mean of each latent value that knows only sigma, the noisy value at that place, its channel, and "
    "whether it is in the first slice or a later one; it sees no other place or time, no text and no clip";

std::string digits(double value, int precision = 4) {
  std::ostringstream out;
  out << std::setprecision(precision) << value;
  return out.str();
}

/// Whether the control is there, as rank 0 sees it.
bool has_control(Run& run, Run& control) {
  return !run.models().blocks().empty() &&
         comm::from_root<bool>(run.world(), [&] { return control.folder("finetune").complete(); });
}

const data::LatentDataset& dataset_of(Run& run) {
  return run.dataset().open(run.folder("prepare"));
}

State passed_if(bool held) {
  return held ? State::passed : State::missed;
}

std::vector<std::pair<TrainedModel, std::string>> models_of(Run& run) {
  if (run.models().blocks().empty())
    return {{TrainedModel::teacher, "teacher"}, {TrainedModel::finetuned, "teacher trained on"}};
  return {{TrainedModel::teacher, "teacher"},
          {TrainedModel::undistilled, "hybrid, not distilled"},
          {TrainedModel::distilled, "hybrid, distilled"},
          {TrainedModel::finetuned, "hybrid, finetuned"}};
}

/// Makes a video for the page, and writes it as `name` into the run's folder.
report::Clip show(Run& run, const std::string& label, const std::string& name, const at::Tensor& latents) {
  report::Clip clip{label, "", {}};
  const at::Tensor frames = decode(run, latents);
  const auto path = run.config().run.dir / name;
  data::write_video(path, frames, run.config().data.fps);
  clip.mp4 = read_file(path);
  for (std::int64_t i = 0; i < 5; ++i)
    clip.png_frames.push_back(data::encode_png(frames[i * (frames.size(0) - 1) / 4]));
  return clip;
}

/// One model's video; collective. Frames and file are made on rank 0.
report::Clip clip_of(Run& run, TrainedModel which, const std::string& label, const std::string& prompt,
                     std::uint64_t sample) {
  models::VideoTransformer model = run.models().load(which);
  report::Clip clip;
  run.world().all_or_none([&] {
    if (run.world().rank() != 0) return;
    sampling::Request request = sample_request(run, model, sample);
    Progress progress(cat("report: video ", sample, ", ", label), sampling::step_count(model, request), "steps");
    request.on_step = [&] { progress.advance(); };
    const at::Tensor latents = sampling::generate(model, request, run.prompts().encode(prompt),
                                                  run.prompts().encode(run.config().sample.negative_prompt));
    progress.finish();
    clip = show(run, label, cat("report-", sample, '-', to_string(which), ".mp4"), latents);
  });
  return clip;
}

}  // namespace

void Losses::fields(config::Fields& f) {
  const auto add = [&](const char* name, std::optional<double>& loss) {
    f.add(name, loss, "validation loss").only("where the run has such a model", [&loss] { return loss.has_value(); });
  };
  f.add("pointwise", pointwise, "of the best predictor that sees no context");
  f.add("teacher", teacher, "validation loss");
  f.add("finetuned", finetuned, "validation loss");
  add("undistilled", undistilled);
  add("distilled", distilled);
  add("control", control);
}

std::int64_t compared_models(Run& run) {
  return std::ssize(models_of(run));
}

Losses measure_losses(Run& run, Run& control) {
  const bool hybrid = !run.models().blocks().empty(), with_control = has_control(run, control);
  std::vector<evaluate::Candidate> candidates;
  const auto add = [&](const char* name, Run& from, TrainedModel which) {
    candidates.push_back({name, [&from, which] { return from.models().load(which); }});
  };
  add("teacher", run, TrainedModel::teacher);
  if (hybrid) {
    add("not distilled", run, TrainedModel::undistilled);
    add("distilled", run, TrainedModel::distilled);
  }
  add("finetuned", run, TrainedModel::finetuned);
  if (with_control) add("control", control, TrainedModel::finetuned);
  const evaluate::HeldOutLosses measured =
      evaluate::held_out_losses("report: validation losses", candidates, dataset_of(run), run.config().finetune,
                                run.config().run.seed, run.world());
  auto next = measured.models.begin();
  Losses out;
  out.pointwise = measured.pointwise;
  out.teacher = *next++;
  if (hybrid) {
    out.undistilled = *next++;
    out.distilled = *next++;
  }
  out.finetuned = *next++;
  if (with_control) out.control = *next;
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

void add_distillation(report::ReportData& data, Run& run) {
  const DistillResult found = read_result<DistillResult>(run.folder("distill")).result;
  const models::BlockMap& blocks = run.models().blocks();
  for (const distill::BlockResult& r : found.blocks)
    data.errors.push_back({r.block, ops::to_string(blocks.at(r.block).spec), r.window_only, r.untrained, r.distilled});
  const double window = found.window_only, before = found.untrained, after = found.distilled;
  data.checks.push_back({"Distillation lowers the mean relative error of the attention outputs",
                         digits(before, 3) + " to " + digits(after, 3), "below that of untrained feature maps",
                         passed_if(after < before)});
  data.checks.push_back({"The linear branch is worth having",
                         digits(after, 3) + " against " + digits(window, 3) + " for the windowed softmax alone",
                         "at least a quarter lower", passed_if(after <= kBelowWindow * window)});
}

void add_denoised(report::ReportData& data, Run& run) {
  const ExperimentConfig& config = run.config();
  std::vector<finetune::FlowSample> samples;
  const auto on_rank_0 = [&](const std::function<void(std::size_t)>& work) {
    run.world().all_or_none([&] {
      if (run.world().rank() != 0) return;
      for (std::size_t i = 0; i < samples.size(); ++i) work(i);
    });
  };
  run.world().all_or_none(
      [&] { samples = evaluate::noised_clips(dataset_of(run), config.report.prompts, kNoise, config.run.seed); });
  for (const finetune::FlowSample& sample : samples) data.denoised.push_back({sample.caption, kNoise, {}});
  const auto add = [&](std::size_t i, const std::string& label, const std::string& name, const at::Tensor& latents) {
    data.denoised[i].clips.push_back(show(run, label, cat("report-clip-", i, '-', name, ".mp4"), latents));
  };
  const auto models = models_of(run);
  Progress progress("report: clips through noise", static_cast<std::int64_t>(models.size() + 1), "models");
  on_rank_0([&](std::size_t i) {
    add(i, "the clip", "original", samples[i].x0);
    add(i, "with noise", "noised", diffusion::noised(samples[i].x0, samples[i].noise, kNoise));
  });
  progress.advance(1, "clips");
  for (const auto& [which, label] : models) {
    models::VideoTransformer model = run.models().load(which);
    on_rank_0([&, which = which, label = label](std::size_t i) {
      const auto compute = compute_type(config.finetune.precision, run.device().get());
      add(i, label, to_string(which), evaluate::denoised(model, samples[i], compute));
    });
    progress.advance(1, label);
  }
  progress.finish();
}

void add_comparisons(report::ReportData& data, Run& run) {
  const auto prompts = sample_prompts(run);
  const auto count = std::min<std::size_t>(prompts.size(), static_cast<std::size_t>(run.config().report.prompts));
  for (std::size_t i = 0; i < count; ++i) {
    report::Comparison comparison{prompts[i], run.config().sample.seed, {}};
    for (const auto& [which, label] : models_of(run))
      comparison.clips.push_back(clip_of(run, which, label, prompts[i], i));
    data.comparisons.push_back(std::move(comparison));
  }
}

}  // namespace rehyat::stages
