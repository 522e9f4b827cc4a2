#include "stages/prompts.h"

#include "stages/prompt_file.h"

namespace rehyat::stages {

RunPrompts::RunPrompts(const ExperimentConfig& config, RunEncoders& encoders, RunDevice& device, InputNotes& notes)
    : config_(config), encoders_(encoders), device_(device), notes_(notes) {}

std::vector<std::string> RunPrompts::lines_of(const std::filesystem::path& file) {
  return notes_.said({"prompts", full_path(file), file, std::filesystem::exists(file)},
                     [&] { return read_prompts(file); });
}

const std::vector<std::string>& RunPrompts::of_cache() {
  if (cache_.empty()) cache_ = lines_of(config_.cache.prompts);
  return cache_;
}

const std::vector<std::string>& RunPrompts::of_sample() {
  if (sample_.empty())
    sample_ = config_.sample.prompts_file.empty() ? config_.sample.prompts : lines_of(config_.sample.prompts_file);
  return sample_;
}

at::Tensor RunPrompts::encode(const std::string& prompt) {
  at::Tensor& known = known_[prompt];
  if (!known.defined()) known = encoders_.text->encode({prompt})[0];
  return known.to(device_.get());
}

}  // namespace rehyat::stages
