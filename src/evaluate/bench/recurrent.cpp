#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "core/progress.h"
#include "core/strings.h"
#include "core/units.h"
#include "evaluate/bench/inputs.h"
#include "evaluate/bench/mode.h"
#include "sampling/generate.h"
#include "tensor/peak_memory.h"

namespace rehyat::evaluate {
namespace {

using Clock = std::chrono::steady_clock;

/// One video, sampled as `rehyat sample` does it.
struct SampledVideo {
  std::vector<double> steps;  ///< seconds of each denoising step, of each chunk where there are chunks
  double seconds = 0;
  std::int64_t peak_bytes = 0, count = 0;
};

SampledVideo sample_once(const models::VideoTransformer& model, const BenchRequest& request,
                         const BenchSubject& subject) {
  const models::Architecture& sizes = model->architecture();
  const auto latent = subject.latent();
  const auto on = at::TensorOptions().device(subject.device);
  sampling::Request wanted;
  wanted.sampler.steps = request.steps;
  wanted.guidance = request.guidance;
  wanted.shape = {sizes.channels, latent[0], latent[1], latent[2]};
  wanted.noise = spread_numbers({sizes.channels, latent[0], latent[1], latent[2]}, 1.7, on);
  wanted.form = request.form;
  wanted.compute = subject.compute;
  std::string reason;
  wanted.order = sampling::best_order(model, wanted, reason);
  require(request.form != models::AttentionForm::recurrent || reason.empty(), [&] {
    return cat("[bench] recurrent: found a model that is not sampled chunk by chunk, because ", reason,
               ", expected recurrent attention with one chunk size in every block; use --attention rehyat");
  });
  const at::Tensor text = spread_numbers({sizes.text_tokens, sizes.text_width}, 1.7, on);
  SampledVideo out;
  out.count = sampling::step_count(model, wanted);
  wait_for(subject.device);
  reset_peak_memory(subject.device);
  const auto start = Clock::now();
  auto last = start;
  wanted.on_step = [&] {
    wait_for(subject.device);
    const auto now = Clock::now();
    out.steps.push_back(std::chrono::duration<double>(now - last).count());
    last = now;
  };
  sampling::generate(model, wanted, text, text);
  wait_for(subject.device);
  out.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  out.peak_bytes = peak_memory(subject.device);
  return out;
}

Measure length_row(const models::VideoTransformer& model, const BenchRequest& request, std::int64_t frames,
                   const Ceilings& ceilings) {
  BenchSubject subject = request.subject;
  subject.frames = frames;
  const bool recurrent = request.form == models::AttentionForm::recurrent;
  Measure row{.name = cat(frames, recurrent ? " frames, a step of a chunk" : " frames, a step")};
  SampledVideo video;
  Progress progress(cat("bench recurrent, ", frames, " frames"), request.warmup + request.repeats, "videos");
  for (std::int64_t i = 0; i < request.warmup + request.repeats; ++i) {
    video = sample_once(model, request, subject);
    if (i >= request.warmup) row.seconds.insert(row.seconds.end(), video.steps.begin(), video.steps.end());
    progress.advance(1);
  }
  progress.finish();
  std::sort(row.seconds.begin(), row.seconds.end());
  row.peak_bytes = video.peak_bytes;
  const double branches = request.guidance == 1 ? 1 : 2;
  const double evaluations = static_cast<double>(request.steps) * branches, parts = static_cast<double>(video.count);
  row.work.tflop = forward_tflop(model, subject) * evaluations / parts;
  row.work.bytes = weight_bytes(model) + stream_bytes(subject, model->architecture()) * evaluations / parts;
  row.least_seconds = floor_seconds({row.work}, ceilings);
  row.own = {{"frames", frames},
             {"form", recurrent ? "recurrent" : "parallel"},
             {"steps_of_chunks", video.count},
             {"video_seconds", video.seconds},
             {"video_seconds_per_step", video.seconds / static_cast<double>(request.steps)}};
  row.note = cat(human_number(video.seconds, 4), " s a video of ", request.steps, " steps");
  return row;
}

BenchResult run_recurrent(const BenchRequest& request, const models::ModelRegistry& families,
                          const Ceilings& ceilings) {
  const at::NoGradGuard no_grad;
  const BenchSubject& subject = request.subject;
  std::vector<std::int64_t> lengths = request.lengths;
  if (lengths.empty()) lengths = {subject.frames};
  for (const std::int64_t frames : lengths) {
    BenchSubject longer = subject;
    longer.frames = frames;
    longer.architecture(families);  // refuses the length before anything is made
  }
  BenchSubject converted = subject;
  if (subject.model.empty()) converted.attention = attention_of(subject);
  const models::VideoTransformer model = converted.make(families, subject.compute);
  BenchResult out;
  out.attention = attention_names(model);
  for (const std::int64_t frames : lengths) out.rows.push_back(length_row(model, request, frames, ceilings));
  const auto cost = analysis::model_cost(model->architecture(), subject.video(), block_choices(model));
  const std::int64_t branches = request.guidance == 1 ? 1 : 2;
  const auto held = [&](std::int64_t steps) {
    return analysis::sampling_state_bytes(cost, steps, branches,
                                          static_cast<std::int64_t>(at::elementSize(subject.compute)));
  };
  out.own = {{"layers", model->block_count()},
             {"steps", request.steps},
             {"guidance", request.guidance},
             {"state_bytes", held(request.steps)},
             {"state_bytes_per_step", held(1)}};
  out.notes = {{"states", cat(human_bytes(held(1)), " a denoising step, ", human_bytes(held(50)), " of 50 steps, ",
                              "whatever the length")}};
  return out;
}

}  // namespace

BenchMode recurrent_bench() {
  return {.name = "recurrent",
          .summary =
              "sampling chunk by chunk: the latency of a chunk, and memory by the number of frames; with --form "
              "parallel the same videos as a whole",
          .options = {"--layers", "--attention", "--form", "--lengths", "--steps", "--guidance"},
          .warmup = 1,
          .repeats = 1,
          .run = run_recurrent};
}

}  // namespace rehyat::evaluate
