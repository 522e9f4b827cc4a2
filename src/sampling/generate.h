#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "diffusion/samplers.h"
#include "models/video_transformer.h"

/// Sampling videos from a transformer with classifier-free guidance.
namespace rehyat::sampling {

/// How the loops over chunks and denoising steps are nested.
enum class Order {
  step_major,  ///< every step denoises the whole video
  chunk_major  ///< every chunk is denoised to its end before the next: constant memory; needs a recurrent form
               ///< everywhere
};

/// One evaluation of the model.
struct Evaluation {
  std::int64_t step = 0;    ///< denoising step
  bool conditional = true;  ///< guidance branch: with the text, which comes first, or with the empty one
};

/// How the two guidance branches of a denoising step run. The numbers are the same within rounding.
enum class Branches {
  automatic,  ///< together where that is faster: chunk by chunk on a GPU
  apart,      ///< one after the other
  together    ///< as a batch of two; apart where the texts have different lengths
};

struct Request {
  diffusion::SamplerConfig sampler;
  double guidance = 6.0;
  std::array<std::int64_t, 4> shape{};  ///< latent channels, T, H, W
  std::uint64_t seed = 0;               ///< of the initial noise and of ancestral noise
  std::string purpose = "sample";       ///< names their random streams: another purpose is other noise
  std::uint64_t sample = 0;             ///< which video of that seed
  models::AttentionForm form = models::AttentionForm::parallel;
  Order order = Order::step_major;
  at::ScalarType compute = at::kFloat;
  Branches branches = Branches::automatic;
  at::Tensor noise;                                      ///< the start [C,T,H,W], in place of that of the seed
  std::function<void(const Evaluation&)> on_evaluation;  ///< before each, of branches together before both
  std::function<void()> on_step;                         ///< after each denoising step (of each chunk)
};

/// Why a model with these blocks cannot be sampled chunk by chunk: that needs a recurrent form with one chunk size in
/// every block, and a sampler that draws no noise for the whole video at each step. Empty where it can.
std::string why_not_chunk_major(const std::vector<ops::AttentionSpec>& blocks, const diffusion::SamplerConfig& sampler);

/// Chunk-major for the recurrent form wherever that is possible, else step-major, for the `reason` that it gives.
/// Throws UserError, which names the block, where a converted block has no recurrent form and the request asks for it.
Order best_order(const models::VideoTransformer& model, const Request& request, std::string& reason);

/// Denoising steps that `on_step` will report.
std::int64_t step_count(const models::VideoTransformer& model, const Request& request);

/// text, empty_text [L,D], on the model's device -> latents [C,T,H,W] float32 on the CPU: chunk by chunk the device
/// holds no more of a long video than one chunk. guidance 1 runs the conditional branch alone. No gradients.
at::Tensor generate(const models::VideoTransformer& model, const Request& request, const at::Tensor& text,
                    const at::Tensor& empty_text);

/// The evaluations of `generate` up to and including `last`, and nothing after it: for what watches a model on its way
/// and has no use for the video. Step by step, with the branches apart, whatever the request says; `on_step` is called
/// last.step + 1 times.
void evaluate_until(const Evaluation& last, const models::VideoTransformer& model, Request request,
                    const at::Tensor& text, const at::Tensor& empty_text);

/// The initial noise [C,T,H,W] of a request.
at::Tensor initial_noise(const Request& request);

}  // namespace rehyat::sampling
