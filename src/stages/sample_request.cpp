#include "stages/sample_request.h"

#include "core/error.h"
#include "files/safetensors.h"
#include "tensor/io.h"

namespace rehyat::stages {

std::vector<std::string> sample_prompts(Run& run) {
  std::vector<std::string> prompts = run.prompts().of_sample();
  if (prompts.empty()) {
    const data::LatentDataset& dataset = run.dataset().open(run.folder("prepare"));
    for (const std::size_t caption : dataset.captions(data::Split::validation))
      prompts.push_back(dataset.caption(caption));
  }
  const auto most = static_cast<std::size_t>(run.config().sample.max_prompts);
  if (most > 0 && prompts.size() > most) prompts.resize(most);
  return prompts;
}

sampling::Request sample_request(Run& run, const models::VideoTransformer& model, std::uint64_t sample) {
  const SampleConfig& config = run.config().sample;
  sampling::Request request;
  request.sampler = config.sampler;
  request.guidance = config.guidance;
  const auto size = run.models().latent();
  request.shape = {model->architecture().channels, size[0], size[1], size[2]};
  request.seed = config.seed;
  request.sample = sample;
  if (!config.noise.empty()) {
    const safetensors::Reader file(config.noise);
    const safetensors::TensorInfo* info = file.find("noise");
    require(info != nullptr, [&] { return config.noise.string() + ": found no tensor 'noise', expected one"; });
    const at::Tensor noise = read_tensor(file, *info);
    // A batch of one, as pipelines have it, is as good.
    request.noise = noise.dim() == 5 && noise.size(0) == 1 ? noise[0] : noise;
  }
  // The form follows the given model, and not sample.model: the report samples several models of one config.
  request.form = config.resolved_form(models::block_map_of(model), model->block_count());
  request.compute = compute_type(config.precision, run.device().get());
  std::string reason;
  request.order = sampling::best_order(model, request, reason);
  return request;
}

at::Tensor decode(Run& run, const at::Tensor& latents) {
  const at::Tensor video = run.encoders().codec->decode(latents.to(at::kCPU)).clamp(-1, 1);
  return ((video + 1) * 127.5).round().to(at::kByte).permute({1, 2, 3, 0}).contiguous();
}

}  // namespace rehyat::stages
