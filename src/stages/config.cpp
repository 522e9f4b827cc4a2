#include "stages/config.h"

#include <algorithm>

#include "core/strings.h"
#include "sampling/generate.h"

namespace rehyat::stages {

const std::vector<std::pair<std::string, TrainedModel>>& model_names() {
  static const std::vector<std::pair<std::string, TrainedModel>> names = {{"teacher", TrainedModel::teacher},
                                                                          {"undistilled", TrainedModel::undistilled},
                                                                          {"distilled", TrainedModel::distilled},
                                                                          {"finetuned", TrainedModel::finetuned}};
  return names;
}

std::string to_string(TrainedModel which) {
  for (const auto& [name, value] : model_names()) {
    if (value == which) return name;
  }
  return "";
}

void RunConfig::fields(config::Fields& f) {
  f.add("dir", dir, "folder of the run; stages with the same inputs are found again here").not_empty();
  f.add("seed", seed, "of everything that is drawn");
  f.add("threads", threads, "CPU threads of each rank; 0 = cores divided by the ranks of this machine").at_least(0);
  f.add("gpu_tflops", gpu_tflops, "sustained TFLOP/s of one GPU, of which --dry-run makes GPU-hours").above(0);
  f.bytes("gpu_memory", gpu_memory,
          "memory of one GPU, with which --dry-run compares what a stage needs and by which recompute=auto decides")
      .above(0);
  f.add("device", device, "auto, cpu or cuda").one_of({"auto", "cpu", "cuda"});
}

void ModelConfig::fields(config::Fields& f) {
  f.add(
      "weights", weights,
      "the teacher: a pipeline's folder of diffusers, a transformer's folder in diffusers' or the original layout, or "
      "a ComfyUI .safetensors file; empty: pretrain makes one");
  f.add("published", published,
        "name of a published model, for analyze and dry runs before model.weights is there (wan2.1-t2v-1.3b or "
        "wan2.1-t2v-14b; none: the one that the path of model.weights names); files of another model are refused");
  f.add("vae", vae, "the VAE, folder or file, where model.weights has none");
  f.add("text", text, "the folder that holds text_encoder and tokenizer, where model.weights has none");
  f.add("family", family, "kind of the teacher that pretrain makes").only("with model.architecture", [this] {
    return static_cast<bool>(architecture);
  });
  f.add("architecture", architecture, "sizes of the teacher that pretrain makes");
  f.add("encoders", encoders,
        "video codec and text encoder; auto: Wan's VAE and UMT5 where they lie with the weights, else the embedded");
  encoder_settings.fields(f, "without model.encoders=embedded", [this] { return encoders != "embedded"; });
}

void SampleConfig::fields(config::Fields& f) {
  f.add("prompts", prompts, "prompts, in the file itself");
  f.add("prompts_file", prompts_file, "or a text file with one a line; neither: captions of held-out clips");
  f.add("negative_prompt", negative_prompt, "what guidance leads away from");
  f.add("videos_per_prompt", videos_per_prompt, "each with other noise").at_least(1);
  f.add("noise", noise, "a .safetensors file with `noise` [channels, T, H, W]: the start of every video")
      .only("with videos_per_prompt 1", [this] { return videos_per_prompt == 1; });
  f.add("keep_frames", keep_frames, "store the decoded frames, uint8 [F, H, W, 3], beside the latents");
  f.add("max_prompts", max_prompts, "use at most this many; 0 = all").at_least(0);
  f.section("sampler", sampler, "how videos are sampled");
  f.add("guidance", guidance, "classifier-free guidance; 1 = none").at_least(1);
  f.choice("form", form,
           {{"auto", SampleForm::automatic}, {"parallel", SampleForm::parallel}, {"recurrent", SampleForm::recurrent}},
           "form of the hybrid attention; auto: recurrent where that saves memory (chunk by chunk), else parallel");
  add_precision(f, precision);
  f.choice("model", model, model_names(), "which model of the run");
  f.add("seed", seed, "of the noise");
}

void SampleConfig::validate() const {
  require(prompts.empty() || prompts_file.empty(), [&] {
    return cat("sample: found prompts and prompts_file ", prompts_file.string(),
               ", expected one of them; remove the other");
  });
}

models::AttentionForm SampleConfig::resolved_form(const models::BlockMap& blocks, std::int64_t layers) const {
  if (form == SampleForm::parallel) return models::AttentionForm::parallel;
  if (form == SampleForm::recurrent) return models::AttentionForm::recurrent;
  const bool saves_memory = sampling::why_not_chunk_major(models::attention_specs(blocks, layers), sampler).empty();
  return saves_memory ? models::AttentionForm::recurrent : models::AttentionForm::parallel;
}

void ExportConfig::fields(config::Fields& f) {
  f.add("formats", formats, "of the model's family, Wan's are diffusers, original, comfyui; none: its first");
  f.add("dtype", dtype, "f32, bf16 or f16").one_of({"f32", "bf16", "f16"});
  f.choice("model", model, model_names(), "which model of the run");
  f.bytes("max_shard", max_shard, "larger weights are split behind an index; a comfyui file never is").at_least(1);
}

void ExportConfig::validate() const {
  for (const std::string& format : formats) {
    require(std::count(formats.begin(), formats.end(), format) == 1,
            [&] { return cat("formats: found \"", format, "\" twice, expected it once"); });
  }
}

void VerifyConfig::fields(config::Fields& f) {
  f.choice("model", model, model_names(), "which model of the run");
  f.add("tolerance", tolerance, "largest relative error that passes, in float64").at_least(0);
}

void BudgetConfig::fields(config::Fields& f) {
  f.add("prepare", prepare, "seconds").at_least(0);
  f.add("pretrain", pretrain, "seconds").at_least(0);
  f.add("cache", cache, "seconds").at_least(0);
  f.add("distill", distill, "seconds").at_least(0);
  f.add("finetune", finetune, "seconds").at_least(0);
  f.add("control", control, "seconds").at_least(0);
  f.add("sample", sample, "seconds").at_least(0);
  f.add("verify", verify, "seconds").at_least(0);
  f.add("export", export_, "seconds").at_least(0);
  f.add("report", report, "seconds").at_least(0);
}

void ReportConfig::fields(config::Fields& f) {
  f.add("title", title, "headline");
  f.add("prompts", prompts, "prompts whose videos are compared side by side").at_least(0);
  f.add("commands", commands, "a text file with the commands that were run, shown on the page");
  f.section("budget", budget, "seconds that each stage may take, printed beside the time taken");
}

ExperimentConfig::ExperimentConfig() {
  pretrain.train.lr = 1e-3;
  pretrain.train.iterations = 10'000;
}

void ExperimentConfig::fields(config::Fields& f) {
  f.section("run", run, "where and with which seed");
  f.section("model", model, "the teacher");
  f.section("hybrid", hybrid, "which blocks are converted, and to what");
  f.section("data", data, "videos and captions");
  f.section("pretrain", pretrain, "training a teacher from scratch");
  f.section("cache", cache, "the teacher's activations");
  f.section("distill", distill, "distilling the feature maps");
  f.section("finetune", finetune, "finetuning the hybrid model");
  f.section("sample", sample, "sampling videos");
  f.section("export", export_, "files for other programs");
  f.section("verify", verify, "checking a model's forms against each other");
  f.section("report", report, "the report");
}

void ExperimentConfig::resolve(bool gpu, const std::optional<diffusion::SamplerConfig>& published) {
  data.resolve();
  for (Precision* precision :
       {&pretrain.precision, &cache.precision, &distill.precision, &finetune.precision, &sample.precision}) {
    if (*precision == Precision::automatic) *precision = gpu ? Precision::bf16 : Precision::f32;
  }
  diffusion::SamplerConfig& sampler = sample.sampler;
  if (published && sampler.kind == diffusion::SamplerKind::automatic) {
    sampler.kind = published->kind;
    if (!sampler.grid) sampler.grid = published->grid;
  }
  if (published && !sampler.shift) sampler.shift = published->shift;
  for (diffusion::SamplerConfig* each : {&sampler, &cache.sampler}) {
    if (each->kind == diffusion::SamplerKind::automatic) each->kind = diffusion::SamplerKind::unipc;
  }
  if (!sampler.shift) sampler.shift = diffusion::kDefaultShift;
  for (std::optional<double>* shift : {&cache.sampler.shift, &pretrain.flow.shift, &finetune.flow.shift}) {
    if (!*shift) *shift = sample.sampler.shift;
  }
}

void ExperimentConfig::validate() const {
  require(model.names_teacher() || model.architecture,
          [] { return "model: found neither weights nor architecture, expected one of them"; });
  require(!model.names_teacher() || !model.architecture, [&] {
    return cat("model: found ", model.weights.empty() ? "published" : "weights",
               " and architecture, expected one of them");
  });
  // Known now, not after hours of training.
  const std::optional<ops::AttentionSpec> without = hybrid.without(models::AttentionForm::recurrent);
  require(sample.form != SampleForm::recurrent || sample.model == TrainedModel::teacher || !without, [&] {
    return cat("sample.form: found recurrent, but ", ops::to_string(*without),
               " has no recurrent form, expected auto or parallel; or convert to ", ops::recurrent_kinds(),
               " attention");
  });
}

}  // namespace rehyat::stages
