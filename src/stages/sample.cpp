#include <chrono>

#include "comm/root.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "core/strings.h"
#include "core/table.h"
#include "core/units.h"
#include "data/video/video.h"
#include "files/atomic_file.h"
#include "files/json.h"
#include "models/frozen_weights.h"
#include "stages/builtin.h"
#include "stages/costs.h"
#include "stages/sample_request.h"
#include "stages/setting_sides.h"
#include "tensor/io.h"

namespace rehyat::stages {
namespace {

struct SampledVideo {
  std::string file, prompt, order;
  double seconds = 0;

  void fields(config::Fields& f) {
    f.add("file", file, "the MP4");
    f.add("prompt", prompt, "its prompt");
    f.add("order", order, "chunk-major or step-major");
    f.add("seconds", seconds, "of sampling, without the codec");
  }
};

struct SampleResult {
  std::vector<SampledVideo> videos;
  void fields(config::Fields& f) { f.list("videos", videos, "in the order of the prompts"); }
};

/// The files of one video; the settings are written last.
struct VideoFiles {
  std::filesystem::path video, latents, settings;
  VideoFiles(const std::filesystem::path& folder, std::size_t index) {
    const std::string name = cat("video-", index);
    video = folder / (name + ".mp4");
    latents = folder / (name + ".safetensors");
    settings = folder / (name + ".json");
  }
  bool exist() const {
    return std::filesystem::exists(video) && std::filesystem::exists(latents) && std::filesystem::exists(settings);
  }
};

/// What an earlier start made of this prompt.
std::optional<SampledVideo> finished_video(const VideoFiles& files, const std::string& prompt) {
  if (!files.exist()) return {};
  const auto done = parse_json_if(read_file(files.settings, 1 << 20)).value_or(nlohmann::ordered_json());
  if (value_or<std::string>(done, "prompt", "") != prompt) return {};
  return SampledVideo{files.video.string(), prompt, value_or<std::string>(done, "order", ""),
                      value_or(done, "seconds", 0.0)};
}

/// What rank 0 finds of each video; nothing where it is still to be made.
std::vector<std::optional<SampledVideo>> find_videos(Run& run, const StageFolder& folder,
                                                     const std::vector<std::string>& prompts) {
  const SampleResult found = comm::from_root<SampleResult>(run.world(), [&] {
    SampleResult out;
    for (std::size_t i = 0; i < prompts.size(); ++i)
      out.videos.push_back(finished_video(VideoFiles(folder.folder(), i), prompts[i]).value_or(SampledVideo()));
    return out;
  });
  std::vector<std::optional<SampledVideo>> videos;
  for (const SampledVideo& video : found.videos)
    videos.push_back(video.file.empty() ? std::nullopt : std::optional(video));
  return videos;
}

/// The videos of all ranks.
std::vector<SampledVideo> gather_videos(const comm::Communicator& world,
                                        const std::vector<std::optional<SampledVideo>>& mine) {
  SampleResult own;
  for (const auto& video : mine) own.videos.push_back(video.value_or(SampledVideo()));
  std::vector<SampledVideo> all(mine.size());
  for (const std::string& text : world.all_gather(config::to_json(own).dump())) {
    const auto of_rank = config::from_json<SampleResult>(parse_json(text, "sample"), "sample").videos;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (!of_rank[i].file.empty()) all[i] = of_rank[i];
    }
  }
  return all;
}

/// One video of one prompt, with the settings beside it.
SampledVideo sample_one(Run& run, models::VideoTransformer& model, const std::string& prompt, std::size_t index,
                        const VideoFiles& files) {
  const SampleConfig& config = run.config().sample;
  sampling::Request request = sample_request(run, model, index);
  Progress progress(cat("sample ", index), sampling::step_count(model, request), "steps");
  request.on_step = [&] {
    progress.advance();
    run.world().poll();
    if (stop_requested())
      throw Stopped("sample stopped; start the same command again to go on with the videos that are left");
  };
  const auto start = std::chrono::steady_clock::now();
  const at::Tensor latents =
      sampling::generate(model, request, run.prompts().encode(prompt), run.prompts().encode(config.negative_prompt));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  progress.finish();
  // The latents come first: they took hours, and the video can be made from them again.
  write_tensors(files.latents, {{"latents", latents}});
  const at::Tensor frames = decode(run, latents);
  if (config.keep_frames) write_tensors(files.latents, {{"latents", latents}, {"frames", frames}});
  data::write_video(files.video, frames, run.config().data.fps);
  const char* order = request.order == sampling::Order::chunk_major ? "chunk-major" : "step-major";
  const nlohmann::ordered_json settings = {
      {"prompt", prompt},   {"sample", index},
      {"order", order},     {"form", request.form == models::AttentionForm::recurrent ? "recurrent" : "parallel"},
      {"seconds", seconds}, {"settings", config::to_json(config)}};
  write_file_atomic(files.settings, settings.dump(2) + "\n");
  return {files.video.string(), prompt, order, seconds};
}

/// Bytes that one video may take: its latents in float32, and 24 bits a pixel at most.
std::int64_t video_bytes(Run& run) {
  const auto size = run.models().latent();
  const std::int64_t latents = run.encoders().codec->geometry().channels * size[0] * size[1] * size[2] * 4;
  const data::DataConfig& config = run.config().data;
  return latents + config.frames * config.size[0] * config.size[1] * 3;
}

/// What would only fail after hours of sampling.
void check_outputs(Run& run, const std::filesystem::path& folder, std::size_t videos) {
  require(data::video_library_version() != "none", [] {
    return "[sample] found a build without FFmpeg, expected one that can write videos; install the FFmpeg libraries "
           "and configure with -DREHYAT_FFMPEG=ON";
  });
  require_space(folder, static_cast<std::uint64_t>(video_bytes(run)) * videos, cat(videos, " sampled videos"));
}

void say_order(Run& run, const models::VideoTransformer& model) {
  const sampling::Request request = sample_request(run, model, 0);
  if (request.form != models::AttentionForm::recurrent) return;
  std::string reason;
  if (sampling::best_order(model, request, reason) != sampling::Order::chunk_major)
    return log::warn("sampling step by step: ", reason);
  const std::int64_t branches = request.guidance != 1 ? 2 : 1;
  const std::int64_t bytes =
      analysis::sampling_state_bytes(model_cost(run, models::block_map_of(model)), request.sampler.steps, branches,
                                     static_cast<std::int64_t>(at::elementSize(request.compute)));
  log::info("sampling chunk by chunk: ", model->block_count(), " blocks x ", request.sampler.steps, " steps x ",
            branches, " branches of states and rings hold ", human_bytes(bytes), ", whatever the video's length");
}

/// Makes the videos that are not there, shared out over the ranks.
void make_videos(Run& run, const StageFolder& folder, const std::vector<std::string>& prompts,
                 std::vector<std::optional<SampledVideo>>& videos) {
  const comm::Communicator& world = run.world();
  // The encoders may be larger than the transformer: they go before that comes.
  world.all_or_none([&] {
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      if (!videos[i]) run.prompts().encode(prompts[i]);
    }
    run.prompts().encode(run.config().sample.negative_prompt);
  });
  run.encoders().release();
  models::VideoTransformer model = run.models().load(run.config().sample.model);
  if (run.device().get().is_cuda())
    models::narrow_weights(*model, compute_type(run.config().sample.precision, run.device().get()));
  say_order(run, model);
  world.all_or_none([&] {
    std::size_t turn = 0;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const VideoFiles files(folder.folder(), i);
      if (videos[i]) {
        log::info("sample ", i, ": already complete in ", files.video.string());
      } else if (turn++ % static_cast<std::size_t>(world.size()) == static_cast<std::size_t>(world.rank())) {
        videos[i] = sample_one(run, model, prompts[i], i, files);
      }
    }
  });
}

/// The prompt of each video.
std::vector<std::string> prompts_of_videos(Run& run) {
  std::vector<std::string> out;
  for (const std::string& prompt : sample_prompts(run))
    out.insert(out.end(), static_cast<std::size_t>(run.config().sample.videos_per_prompt), prompt);
  return out;
}

/// Whether the prompts are known before the stages that this one reads have run.
bool prompts_are_known(Run& run) {
  return !run.prompts().of_sample().empty() || (run.missing().empty() && run.folder("prepare").complete());
}

class SampleStage : public StageOf<SampleResult> {
 public:
  std::string name() const override { return "sample"; }
  StageHelp help() const override {
    return {.summary = "sample videos to MP4, the settings beside each",
            .example = "rehyat sample -c configs/demo.yaml sample.form=recurrent sample.model=finetuned",
            .polls = true};
  }

  nlohmann::ordered_json identity(Run& run) const override {
    const SampleConfig& config = run.config().sample;
    nlohmann::ordered_json settings = deciding("sample", config::to_json(config));
    if (!config.noise.empty()) settings["noise"] = noise_checksum(run);
    settings["prompts"] = run.prompts().of_sample();
    nlohmann::ordered_json out = {{"format", 2},
                                  {"sample", settings},
                                  {"model", run.models().fingerprint(config.model)},
                                  {"latent size", run.models().latent()},
                                  {"text encoder", run.encoders().text->fingerprint()},
                                  {"video codec", run.encoders().codec->fingerprint()}};
    if (run.prompts().of_sample().empty()) out["prepare"] = run.folder("prepare").fingerprint();
    return out;
  }
  std::vector<std::string> reads(Run& run) const override {
    std::vector<std::string> out = run.models().made_by(run.config().sample.model);
    if (run.prompts().of_sample().empty()) out.emplace_back("prepare");
    return out;
  }
  std::string link_name(Run& run) const override { return link_to(name(), run.config().sample.model, run); }
  bool is_goal(const std::set<std::string>& sections) const override { return sections.contains(name()); }
  bool intact(Run& /*run*/, const StageFolder& folder) const override {
    const std::vector<SampledVideo> videos = read_result<SampleResult>(folder).result.videos;
    for (std::size_t i = 0; i < videos.size(); ++i) {
      if (!finished_video(VideoFiles(folder.folder(), i), videos[i].prompt)) return false;
    }
    return true;
  }

  Needs needs(Run& run) const override {
    const SampleConfig& config = run.config().sample;
    const std::int64_t branches = config.guidance != 1 ? 2 : 1;
    const models::BlockMap blocks = blocks_of(run, config.model);
    const analysis::ModelCost cost = model_cost(run, blocks);
    Needs needs;
    needs.model = to_string(config.model);
    needs.model_parameters = cost.parameters;
    needs.model_bytes = kWeightBytes * cost.parameters;
    needs.form = form_name(run);
    needs.constant_memory = *needs.form == "recurrent" &&
                            sampling::why_not_chunk_major(
                                models::attention_specs(blocks, run.models().architecture().layers), config.sampler)
                                .empty();
    const models::Architecture& model = run.models().architecture();
    // The ring and what is held of the texts are of the compute type.
    const std::int64_t number_bytes = config.precision == Precision::bf16 ? 2 : 4;
    if (*needs.constant_memory)
      needs.state_and_ring_bytes = analysis::sampling_state_bytes(cost, config.sampler.steps, branches, number_bytes);
    needs.text_bytes = analysis::sampling_text_bytes(model, branches, number_bytes);
    needs.steps_per_video = config.sampler.steps;
    if (*needs.constant_memory) {
      const ops::AttentionSpec& spec = blocks.begin()->second.spec;
      const auto chunks = ops::chunks_of(video_of(run).slices(model), spec.recurrence()->chunk, 0);
      needs.steps_per_video = config.sampler.steps * std::ssize(chunks);
    }
    needs.work_per_video =
        work_of(static_cast<double>(config.sampler.steps * branches) * forward_tflops(model, blocks, video_of(run)),
                run.config().run);
    if (prompts_are_known(run)) {
      needs.videos = std::ssize(prompts_of_videos(run));
      needs.disk_bytes = *needs.videos * video_bytes(run);
      needs.work = work_of(static_cast<double>(*needs.videos) * needs.work_per_video->tflops, run.config().run);
    }
    needs.smaller_memory = *needs.constant_memory ? "sample.sampler.steps, data.size or data.frames" : "";
    needs.smaller_disk = "sample.max_prompts or sample.videos_per_prompt";
    return needs;
  }

  void check(Run& run, const StageFolder& folder) const override {
    std::size_t missing = 0;
    if (prompts_are_known(run)) {
      const std::vector<std::string> prompts = prompts_of_videos(run);
      for (std::size_t i = 0; i < prompts.size(); ++i)
        missing += finished_video(VideoFiles(folder.folder(), i), prompts[i]) ? 0 : 1;
    }
    check_outputs(run, folder.folder(), missing);
  }

 protected:
  SampleResult make(Run& run, const StageFolder& folder) const override {
    std::vector<std::string> prompts;
    run.world().all_or_none([&] { prompts = prompts_of_videos(run); });
    std::vector<std::optional<SampledVideo>> videos = find_videos(run, folder, prompts);
    const auto missing = static_cast<std::size_t>(std::count(videos.begin(), videos.end(), std::nullopt));
    run.world().all_or_none([&] { check_outputs(run, folder.folder(), missing); });
    if (missing > 0) make_videos(run, folder, prompts, videos);
    return {gather_videos(run.world(), videos)};
  }

  std::string told(const Timed<SampleResult>& timed) const override {
    TextTable table({{"file"}, {"time", true}, {"order"}, {"prompt"}});
    for (const SampledVideo& video : timed.result.videos)
      table.row({video.file, human_seconds(video.seconds), video.order, excerpt(video.prompt)});
    return table.text();
  }

 private:
  static std::string noise_checksum(Run& run) {
    const std::filesystem::path& noise = run.config().sample.noise;
    return run.notes().said({"noise", full_path(noise), noise, std::filesystem::exists(noise)},
                            [&] { return hash_file(noise); });
  }

  static std::string form_name(Run& run) {
    const SampleConfig& config = run.config().sample;
    const models::BlockMap blocks = blocks_of(run, config.model);
    const bool recurrent = !blocks.empty() && config.resolved_form(blocks, run.models().architecture().layers) ==
                                                  models::AttentionForm::recurrent;
    return recurrent ? "recurrent" : "parallel";
  }
};

}  // namespace

std::shared_ptr<const Stage> sample_stage() {
  return std::make_shared<SampleStage>();
}

}  // namespace rehyat::stages
