#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/strings.h"
#include "distill/distill.h"
#include "distill/online.h"
#include "files/atomic_file.h"
#include "models/small_wan.h"

namespace rehyat::testing {

inline const std::vector<std::int64_t> kLatentSize = {kLatent[0], kLatent[1], kLatent[2]};

inline distill::CacheConfig cache_config() {
  distill::CacheConfig out;
  out.sampler.steps = 3;
  out.sampler.shift = 3;
  out.guidance = 2;
  out.keep_per_trajectory = 2;
  out.validation_share = 0.3;
  out.type = distill::CacheType::f32;
  return out;
}

inline distill::DistillConfig distill_config(std::int64_t iterations = 12) {
  distill::DistillConfig out;
  out.train.iterations = iterations;
  out.train.lr = 2e-3;
  out.train.warmup = 2;
  out.train.checkpoint_every = 3;
  out.validation_samples = 3;
  return out;
}

inline distill::Prompts some_prompts(std::size_t count = 4) {
  const auto embedding = [](std::size_t i) {
    Rng rng(6, "test.prompt", {static_cast<std::uint64_t>(i)});
    return randn(rng, {5, 20});
  };
  Rng rng(6, "test.prompt.empty");
  return {count, embedding, randn(rng, {5, 20})};
}

inline models::BlockMap all_blocks(const models::WanTransformer& model, const models::BlockAttention& attention) {
  models::BlockMap out;
  for (std::int64_t i = 0; i < model->block_count(); ++i) out[i] = attention;
  return out;
}

inline distill::TeacherWalk walk_of(const models::WanTransformer& teacher, std::size_t prompts = 4) {
  return {teacher, cache_config(), {0, 1, 2}, kLatentSize, some_prompts(prompts), 8};
}

inline const std::vector<std::int64_t> kThreeBlocks = {0, 1, 2};

/// Random inputs of three blocks, in memory; those of `bad` are not finite, or only the ones to train on.
class FakePoints : public distill::PointSource {
 public:
  explicit FakePoints(std::int64_t bad = -1, bool only_train = false) : bad_(bad), only_train_(only_train) {}
  const std::vector<std::int64_t>& blocks() const override { return kThreeBlocks; }
  const std::vector<std::int64_t>& latent() const override { return kLatentSize; }
  bool readable_everywhere() const override { return true; }
  std::int64_t rounds() const override { return 1; }
  void share_out(const std::vector<std::int64_t>&) override {}
  void begin_round(std::int64_t) override {}
  std::int64_t size(data::Split split) const override { return split == data::Split::train ? 4 : 2; }
  at::Tensor input(data::Split split, std::int64_t i, std::int64_t block) const override {
    Rng rng(7, "test.points",
            {static_cast<std::uint64_t>(split), static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(block)});
    const at::Tensor x = randn(rng, {42, 24});
    return block == bad_ && (!only_train_ || split == data::Split::train) ? x / 0 : x;
  }
  bool has_targets() const override { return false; }
  at::Tensor target(data::Split, std::int64_t, std::int64_t) const override { return {}; }

 private:
  std::int64_t bad_;
  bool only_train_;
};

inline std::string phi_name(std::int64_t block) {
  return cat("phi-0000", block, ".safetensors");
}

/// What distillation leaves for all three blocks, but for what a clock has measured.
inline std::string phi_files(const std::filesystem::path& folder) {
  std::string out;
  for (std::int64_t block = 0; block < 3; ++block) out += read_file(folder / phi_name(block));
  return out;
}

}  // namespace rehyat::testing
