#include <chrono>

#include "app/command.h"
#include "app/load_experiment.h"
#include "app/requirements.h"
#include "core/atomic_file.h"
#include "core/folder_lock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "core/strings.h"
#include "data/video.h"
#include "sampling/generate.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;

/// One video of one prompt, with the settings beside it.
json sample_one(pipeline::Experiment& experiment, models::WanTransformer& model, const std::string& prompt,
                std::uint64_t index, const std::filesystem::path& folder) {
  const std::string name = cat("video-", index);
  const auto marker = folder / (name + ".json");
  if (std::filesystem::exists(marker)) {  // written last: an earlier start got this far
    const json done = parse_json_if(read_file(marker, 1 << 20)).value_or(json());
    if (done.is_object() && done.value("prompt", json()) == prompt) {
      log::info("sample ", index, ": already complete in ", (folder / (name + ".mp4")).string());
      return {{"file", (folder / (name + ".mp4")).string()},
              {"prompt", prompt},
              {"order", done.value("order", "")},
              {"seconds", done.value("seconds", 0.0)}};
    }
  }
  sampling::Request request = experiment.sample_request(model, index);
  Progress progress(cat("sample ", index), sampling::step_count(model, request), "steps");
  request.on_step = [&] {
    progress.advance();
    experiment.world().poll();
    if (stop_requested())
      throw Stopped("sample stopped; start the same command again to go on with the videos that are left");
  };
  const auto start = std::chrono::steady_clock::now();
  const at::Tensor latents =
      sampling::generate(model, request, experiment.encode_prompt(prompt), experiment.encode_prompt(""));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  progress.finish();
  data::write_video(folder / (name + ".mp4"), experiment.decode(latents), experiment.config().data.fps);
  write_tensors(folder / (name + ".safetensors"), {{"latents", latents}});
  json settings = {{"prompt", prompt},
                   {"sample", index},
                   {"order", request.order == sampling::Order::chunk_major ? "chunk-major" : "step-major"},
                   {"seconds", seconds},
                   {"settings", config::to_json(experiment.config().sample)}};
  write_file_atomic(marker, settings.dump(2) + "\n");
  return {{"file", (folder / (name + ".mp4")).string()},
          {"prompt", prompt},
          {"order", settings["order"]},
          {"seconds", seconds}};
}

void sample(Context& context) {
  pipeline::Experiment experiment = load_experiment(context);
  const pipeline::Stage stage(experiment.config().run.dir, "sample",
                              {{"settings", config::to_json(experiment.config().sample)},
                               {"model", models::to_json(experiment.blocks())},
                               {"of", experiment.finetune_stage().fingerprint()}});
  if (context.arguments.dry_run) {
    const json needs = requirements(experiment, "sample");
    context.result({{"stage", "sample"}, {"folder", stage.folder().string()}, {"needs", needs}},
                   cat("sample: would work in ", stage.folder().string(), "\n", needs.dump(2)));
    return;
  }
  models::WanTransformer model = experiment.load(experiment.config().sample.model);
  const std::vector<std::string> prompts = experiment.sample_prompts();
  std::string reason;
  const sampling::Request request = experiment.sample_request(model, 0);
  sampling::best_order(model, request, reason);
  if (request.form == models::AttentionForm::recurrent && !reason.empty()) log::warn("sampling step by step: ", reason);
  json videos = json::array();
  std::optional<FolderLock> lock;
  context.world.together([&] {
    if (context.world.rank() == 0) lock.emplace(stage.open());
  });
  const auto work = [&] {
    make_folder(stage.folder());
    for (std::size_t i = static_cast<std::size_t>(context.world.rank()); i < prompts.size();
         i += static_cast<std::size_t>(context.world.size())) {
      videos.push_back(sample_one(experiment, model, prompts[i], i, stage.folder()));
    }
  };
  context.world.together(work, dist::Communicator::Length::lengthy);
  json all = json::array();
  for (const std::string& text : context.world.all_gather(videos.dump())) {
    for (const json& video : parse_json(text, "sample")) all.push_back(video);
  }
  context.result({{"videos", all}}, cat("sample: ", all.dump(2)));
}

}  // namespace

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
