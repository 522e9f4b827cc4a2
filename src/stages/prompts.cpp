#include "stages/prompts.h"

#include "stages/prompt_file.h"

namespace rehyat::stages {

RunPrompts::RunPrompts(const ExperimentConfig& config, RunEncoders& encoders, RunDevice& device)
    : config_(config), encoders_(encoders), device_(device) {}

const std::vector<std::string>& RunPrompts::of_cache() {
  if (cache_.empty()) cache_ = read_prompts(config_.cache.prompts);
  return cache_;
}

const std::vector<std::string>& RunPrompts::of_sample() {
  if (sample_.empty())
    sample_ = config_.sample.prompts_file.empty() ? config_.sample.prompts : read_prompts(config_.sample.prompts_file);
  return sample_;
}

at::Tensor RunPrompts::encode(const std::string& prompt) {
  at::Tensor& known = known_[prompt];
  if (!known.defined()) known = encoders_.text->encode({prompt})[0];
  return known.to(device_.get());
}

}  // namespace rehyat::stages
