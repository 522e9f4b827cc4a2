#pragma once

#include <string>
#include <vector>

#include "sampling/generate.h"
#include "stages/run.h"

/// What the `sample` section asks for, for the stages that sample videos.
namespace rehyat::stages {

/// The prompts of the `sample` section, else the captions of held-out clips; at most sample.max_prompts.
std::vector<std::string> sample_prompts(Run& run);

/// The request for one video of `model`, in the form and order that suit it.
sampling::Request sample_request(Run& run, const models::VideoTransformer& model, std::uint64_t sample);

/// Latents -> uint8 RGB [F,H,W,3].
at::Tensor decode(Run& run, const at::Tensor& latents);

}  // namespace rehyat::stages
