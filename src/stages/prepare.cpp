#include "analysis/memory.h"
#include "stages/builtin.h"
#include "stages/costs.h"
#include "stages/run.h"

namespace rehyat::stages {
namespace {

struct BucketRow {
  std::vector<std::int64_t> size;
  std::int64_t frames = 0, clips = 0, windows = 0, validation_windows = 0;

  void fields(config::Fields& f) {
    f.add("size", size, "height, width");
    f.add("frames", frames, "of a window");
    f.add("clips", clips, "that went here");
    f.add("windows", windows, "made of them");
    f.add("validation_windows", validation_windows, "of which held out");
  }
};

struct LeftOut {
  std::string why;
  std::int64_t clips = 0;

  void fields(config::Fields& f) {
    f.add("why", why, "the reason");
    f.add("clips", clips, "left out for it");
  }
};

/// What went where, and what was left out and why.
struct DatasetTable {
  std::vector<BucketRow> buckets;
  std::vector<LeftOut> dropped, quarantined;

  void fields(config::Fields& f) {
    f.list("buckets", buckets, "sizes and lengths");
    f.list("dropped", dropped, "clips that fit no bucket");
    f.list("quarantined", quarantined, "clips that cannot be used");
  }
};

/// Of the last start; shares are of all ranks' time.
struct PrepareSpeed {
  std::int64_t clips = 0, ranks = 0;
  double clips_per_second = 0, decode_share = 0, vae_share = 0, text_share = 0;

  void fields(config::Fields& f) {
    f.add("clips", clips, "encoded");
    f.add("ranks", ranks, "at work");
    f.add("clips_per_second", clips_per_second, "of all ranks");
    f.add("decode_share", decode_share, "of the time");
    f.add("vae_share", vae_share, "of the time");
    f.add("text_share", text_share, "of the time");
  }
};

struct PrepareResult {
  std::int64_t clips = 0, usable_clips = 0, validation_clips = 0, samples = 0, captions = 0, dropped = 0,
               quarantined = 0;
  DatasetTable table;
  PrepareSpeed throughput;

  void fields(config::Fields& f) {
    f.add("clips", clips, "that data.videos names");
    f.add("usable_clips", usable_clips, "with at least one window");
    f.add("validation_clips", validation_clips, "held out");
    f.add("samples", samples, "windows");
    f.add("captions", captions, "different ones");
    f.add("dropped", dropped, "clips that fit no bucket");
    f.add("quarantined", quarantined, "clips that cannot be used");
    f.section("table", table, "what went where");
    f.section("throughput", throughput, "of the last start");
  }
};

class PrepareStage : public StageOf<PrepareResult> {
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
  std::vector<std::filesystem::path> results(Run&) const override { return {"manifest.json"}; }
  void look(Run& run) const override { run.dataset().read_clips(); }
  std::string why_missing(Run& run) const override { return run.dataset().nearest(); }
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
    return needs;
  }

 protected:
  PrepareResult make(Run& run, const StageFolder& folder) const override {
    nlohmann::ordered_json summary = run.dataset().prepare(folder);
    summary.erase("seconds");  // of this start alone
    run.encoders().release();  // the stages that come next need the memory
    return config::from_json<PrepareResult>(summary, name());
  }
};

}  // namespace

std::shared_ptr<const Stage> prepare_stage() {
  return std::make_shared<PrepareStage>();
}

}  // namespace rehyat::stages
