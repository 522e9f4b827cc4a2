#include <chrono>

#include "app/command.h"
#include "app/load_experiment.h"
#include "app/requirements.h"
#include "app/stages.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "core/strings.h"
#include "data/video/video.h"
#include "files/atomic_file.h"
#include "files/folder_lock.h"
#include "files/json.h"
#include "sampling/generate.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;
using stages::Experiment;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The files of one video; the settings are written last.
struct VideoFiles {
  std::filesystem::path video, latents, settings;
  VideoFiles(const std::filesystem::path& folder, std::uint64_t index) {
    const std::string name = cat("video-", index);
    video = folder / (name + ".mp4");
    latents = folder / (name + ".safetensors");
    settings = folder / (name + ".json");
  }
  bool exist() const {
    return std::filesystem::exists(video) && std::filesystem::exists(latents) && std::filesystem::exists(settings);
  }
};

/// What an earlier start made of this prompt; null without it.
json finished_video(const VideoFiles& files, const std::string& prompt) {
  if (!files.exist()) return nullptr;
  const json done = parse_json_if(read_file(files.settings, 1 << 20)).value_or(json());
  if (!done.is_object() || done.value("prompt", "") != prompt) return nullptr;
  return {{"file", files.video.string()},
          {"prompt", prompt},
          {"order", done.value("order", "")},
          {"seconds", done.value("seconds", 0.0)}};
}

/// One video of one prompt, with the settings beside it.
json sample_one(Experiment& experiment, const models::VideoTransformer& model, const std::string& prompt,
                std::uint64_t index, const VideoFiles& files) {
  sampling::Request request = experiment.sample_request(model, index);
  Progress progress(cat("sample ", index), sampling::step_count(model, request), "steps");
  request.on_step = [&] {
    progress.advance();
    experiment.world().poll();
    if (stop_requested())
      throw Stopped("sample stopped; start the same command again to go on with the videos that are left");
  };
  const auto start = std::chrono::steady_clock::now();
  const at::Tensor latents = sampling::generate(model, request, experiment.encode_prompt(prompt),
                                                experiment.encode_prompt(experiment.config().sample.negative_prompt));
  const double seconds = seconds_since(start);
  progress.finish();
  // The hours first: a video can be made of them again.
  write_tensors(files.latents, {{"latents", latents}});
  const at::Tensor frames = experiment.decode(latents);
  if (experiment.config().sample.keep_frames) write_tensors(files.latents, {{"latents", latents}, {"frames", frames}});
  data::write_video(files.video, frames, experiment.config().data.fps);
  const char* order = request.order == sampling::Order::chunk_major ? "chunk-major" : "step-major";
  const json settings = {
      {"prompt", prompt},   {"sample", index},
      {"order", order},     {"form", request.form == models::AttentionForm::recurrent ? "recurrent" : "parallel"},
      {"seconds", seconds}, {"settings", config::to_json(experiment.config().sample)}};
  write_file_atomic(files.settings, settings.dump(2) + "\n");
  return {{"file", files.video.string()}, {"prompt", prompt}, {"order", order}, {"seconds", seconds}};
}

/// The prompt of each video.
std::vector<std::string> each_video(Experiment& experiment) {
  std::vector<std::string> out;
  for (const std::string& prompt : experiment.sample_prompts())
    out.insert(out.end(), static_cast<std::size_t>(experiment.config().sample.videos_per_prompt), prompt);
  return out;
}

/// What would only fail after hours of sampling.
void check_outputs(Experiment& experiment, const std::filesystem::path& folder, std::size_t videos) {
  require(data::video_library_version() != "none", [] {
    return "[sample] found a build without FFmpeg, expected one that can write videos; install the FFmpeg libraries "
           "and configure with -DREHYAT_FFMPEG=ON";
  });
  const auto size = experiment.latent();
  // Latents in float32 and a video of at most 24 bits a pixel.
  const auto& data = experiment.config().data;
  const std::int64_t latents = size[0] * size[1] * size[2] * experiment.codec().geometry().channels * 4;
  const std::int64_t pixels = data.frames * data.size[0] * data.size[1] * 3;
  require_space(folder, static_cast<std::uint64_t>(latents + pixels) * videos, cat(videos, " sampled videos"));
}

void say_order(Experiment& experiment, const models::VideoTransformer& model) {
  std::string reason;
  const sampling::Request request = experiment.sample_request(model, 0);
  const bool chunked = sampling::best_order(model, request, reason) == sampling::Order::chunk_major;
  if (request.form != models::AttentionForm::recurrent) return;
  if (!chunked) return log::warn("sampling step by step: ", reason);
  std::vector<analysis::BlockChoice> blocks;
  for (std::int64_t i = 0; i < model->block_count(); ++i)
    blocks.push_back({model->attention(i)->attention().spec, model->attention(i)->attention().phi});
  const std::int64_t branches = request.guidance != 1 ? 2 : 1;
  const auto cost = analysis::model_cost(model->architecture(), video_of(experiment), blocks);
  const std::int64_t bytes = analysis::sampling_state_bytes(
      cost, request.sampler.steps, branches, static_cast<std::int64_t>(at::elementSize(request.compute)));
  log::info("sampling chunk by chunk: ", blocks.size(), " blocks x ", request.sampler.steps, " steps x ", branches,
            " branches of states and rings hold ", human_bytes(bytes), ", whatever the video's length");
}

void sample(Context& context) {
  Experiment experiment = load_experiment(context);
  if (context.arguments.dry_run) {
    const stages::Stage stage = experiment.find(&Experiment::sample_stage);
    const json needs = requirements(experiment, "sample");
    context.result(
        {{"stage", "sample"}, {"folder", stage.folder().string()}, {"complete", stage.complete()}, {"needs", needs}},
        cat("sample: ", stage.complete() ? "complete in " : "would work in ", stage.folder().string(), "\n",
            needs.dump(2)));
    return;
  }
  const json result = run_sample(experiment);
  context.result(result, cat("sample: ", result.dump(2)));
}

}  // namespace

json run_sample(Experiment& experiment) {
  const stages::Stage stage = experiment.find(&Experiment::sample_stage);
  const comm::Communicator& world = experiment.world();
  const std::vector<std::string> prompts = each_video(experiment);
  std::vector<json> videos(prompts.size());
  std::size_t missing = 0;
  world.together([&] {
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      videos[i] = finished_video(VideoFiles(stage.folder(), i), prompts[i]);
      if (videos[i].is_null()) ++missing;
    }
  });
  const auto summary_of = [&](double seconds) {
    return json{{"videos", videos}, {"folder", stage.folder().string()}, {"seconds", seconds}};
  };
  if (missing == 0 && stage.complete()) {
    log::info("sample: already complete in ", stage.folder().string());
    return summary_of(stage.summary().value("seconds", 0.0));
  }
  const auto start = std::chrono::steady_clock::now();
  const auto lock = experiment.open(stage);
  world.together([&] { check_outputs(experiment, stage.folder(), missing); });
  std::unique_ptr<log::FileScope> file;
  world.together([&] {
    file = std::make_unique<log::FileScope>(
        stage.folder() / (world.rank() == 0 ? std::string("log.txt") : cat("log-rank", world.rank(), ".txt")));
  });
  // The text encoder may be larger than the transformer: it goes before that comes.
  world.together([&] {
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      if (videos[i].is_null()) experiment.encode_prompt(prompts[i]);
    }
    experiment.encode_prompt(experiment.config().sample.negative_prompt);
  });
  experiment.forget_encoders();
  models::VideoTransformer model = experiment.load(experiment.config().sample.model);
  say_order(experiment, model);
  world.together([&] {
    for (std::size_t i = 0, turn = 0; i < prompts.size(); ++i) {
      const VideoFiles files(stage.folder(), i);
      if (!videos[i].is_null()) {
        log::info("sample ", i, ": already complete in ", files.video.string());
      } else if (turn++ % static_cast<std::size_t>(world.size()) == static_cast<std::size_t>(world.rank())) {
        videos[i] = sample_one(experiment, model, prompts[i], i, files);
      }
    }
  });
  for (const std::string& text : world.all_gather(json(videos).dump())) {
    const json of_rank = parse_json(text, "sample");
    for (std::size_t i = 0; i < videos.size(); ++i) {
      if (videos[i].is_null()) videos[i] = of_rank[i];
    }
  }
  const json summary = summary_of(seconds_since(start));
  world.together([&] {
    if (world.rank() == 0) stage.finish(summary);
  });
  return summary;
}

Command sample_command() {
  Command command;
  command.name = "sample";
  command.summary = "sample videos to MP4, the settings beside each";
  command.example = "rehyat sample -c configs/demo.yaml sample.form=recurrent sample.model=finetuned";
  command.polls = true;
  command.run = sample;
  return command;
}

}  // namespace rehyat::app
