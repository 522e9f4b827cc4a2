#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "stages/config.h"
#include "stages/device.h"
#include "stages/encoders.h"
#include "stages/input_notes.h"

namespace rehyat::stages {

/// The prompts of a run and their embeddings.
class RunPrompts {
 public:
  RunPrompts(const ExperimentConfig& config, RunEncoders& encoders, RunDevice& device, InputNotes& notes);

  /// The lines of cache.prompts. They are read once, so that the prompts that are encoded are those that name the
  /// stage.
  const std::vector<std::string>& of_cache();
  /// The prompts of the `sample` section itself, read once; empty where captions of held-out clips are sampled.
  const std::vector<std::string>& of_sample();

  /// The embedding [L,D] on this rank's device. Each prompt is encoded once.
  at::Tensor encode(const std::string& prompt);

 private:
  std::vector<std::string> lines_of(const std::filesystem::path& file);

  const ExperimentConfig& config_;
  RunEncoders& encoders_;
  RunDevice& device_;
  InputNotes& notes_;
  std::vector<std::string> cache_, sample_;
  std::map<std::string, at::Tensor> known_;  ///< embeddings by prompt
};

}  // namespace rehyat::stages
