#include "analysis/memory.h"
#include "core/strings.h"
#include "core/table.h"
#include "core/units.h"
#include "data/dataset/dataset_table.h"
#include "stages/builtin.h"
#include "stages/costs.h"
#include "stages/run.h"

namespace rehyat::stages {
namespace {

class PrepareStage : public StageOf<data::PrepareResult> {
 public:
  std::string name() const override { return "prepare"; }
  StageHelp help() const override {
    data::DataConfig defaults;
    config::Fields fields;
    defaults.fields(fields);
    return {.summary = "videos and captions to latents and text embeddings",
            .example =
                "mpirun -n 2 rehyat prepare -c configs/demo.yaml run.seed=2\n"
                "  rehyat prepare -c FILE.yaml 'data.videos=shards/{000..127}.tar' data.captions=''",
            .settings = config::documentation(fields, "data"),
            .polls = true};
  }
  nlohmann::ordered_json identity(Run& run) const override { return run.dataset().identity(); }
  std::vector<std::string> reads(Run&) const override { return {}; }
  std::vector<std::filesystem::path> outputs(Run&) const override { return {"manifest.json"}; }
  void look(Run& run) const override { run.dataset().read_clips(); }
  InputChanges input_changes(Run& run, const std::filesystem::path& other) const override {
    const auto names = data::identity_names();
    return {run.dataset().clip_changes(other), {names.at("files"), names.at("captions")}};
  }
  void completed(Run& run) const override { run.dataset().remember(); }

  Needs needs(Run& run) const override {
    const std::vector<analysis::VideoSize> videos = bucket_videos(run);
    const auto bytes = [&](const analysis::VideoSize& video) {
      return analysis::dataset_bytes(run.models().architecture(), video, 1);
    };
    Needs needs;
    needs.disk_bytes_per_window = bytes(largest(videos));
    for (std::size_t b = 0; b < run.config().data.buckets.size(); ++b)
      needs.buckets.push_back({{videos[b].height, videos[b].width}, videos[b].frames, bytes(videos[b])});
    needs.smaller_disk = "data.max_windows, data.size or data.frames";
    return needs;
  }

 protected:
  data::PrepareResult make(Run& run, const StageFolder& folder) const override {
    data::PrepareResult result = run.dataset().prepare(folder);
    run.encoders().release();  // the stages that come next need the memory
    return result;
  }

  std::string told(const Timed<data::PrepareResult>& timed) const override {
    const data::PrepareResult& result = timed.result;
    const data::PrepareSpeed& speed = result.throughput;
    TextList list;
    list.add("clips",
             cat(result.clips, ", of which usable ", result.usable_clips, ", held out ", result.validation_clips,
                 "; left out: ", result.dropped, " dropped, ", result.quarantined, " quarantined"));
    list.add("windows", cat(result.samples));
    list.add("captions", cat(result.captions));
    list.add("speed", cat(human_number(speed.clips_per_second, 3), " clips/s on ", speed.ranks,
                          speed.ranks == 1 ? " rank" : " ranks", "; of the time waiting for decoding ",
                          human_share(speed.wait_share), ", VAE ", human_share(speed.vae_share), ", text encoder ",
                          human_share(speed.text_share)));
    return list.text() + join(data::table_lines(result.table), "\n");
  }
};

}  // namespace

std::shared_ptr<const Stage> prepare_stage() {
  return std::make_shared<PrepareStage>();
}

}  // namespace rehyat::stages
