#include "distill/config.h"

#include "core/error.h"

namespace rehyat::distill {

CacheConfig::CacheConfig() {
  sampler.kind = diffusion::SamplerKind::euler_ancestral;
  sampler.steps = 50;
}

void CacheConfig::fields(config::Fields& f) {
  f.add("prompts", prompts,
        "text file with one prompt a line, for which no videos need be prepared; empty: the captions of the training "
        "clips");
  f.add("max_prompts", max_prompts, "use at most this many prompts; 0 = all").at_least(0);
  f.add("seeds", seeds, "noise samples a prompt").at_least(1);
  f.section("sampler", sampler, "how the teacher's trajectories are sampled");
  f.add("guidance", guidance, "classifier-free guidance; 1 = none").at_least(1);
  f.add("keep_per_trajectory", keep_per_trajectory, "points (step, guidance branch) kept of each trajectory")
      .at_least(1);
  f.add("validation_share", validation_share, "share of the prompts whose trajectories are only evaluated on")
      .between(0, 0.9);
  add_precision(f, precision);
  f.choice("dtype", type, {{"f32", CacheType::f32}, {"bf16", CacheType::bf16}}, "type of the stored activations");
  f.add("store_targets", store_targets, "store the teacher's attention outputs too instead of recomputing them");
  f.bytes("quota", quota, "refuse to start when the cache would be larger").at_least(1);
}

DistillConfig::DistillConfig() {
  train.lr = 1e-3;
  train.weight_decay = 0;
  train.iterations = 10'000;
}

void OnlineConfig::fields(config::Fields& f) {
  f.add("rounds", rounds,
        "how often the teacher walks new trajectories; each round trains an equal share of iterations")
      .at_least(1);
  f.add("trajectories", trajectories, "new trajectories of a round").at_least(1);
  f.bytes("memory", memory, "refuse to start when the points held at once, over all ranks, would be larger")
      .at_least(1);
}

void DistillConfig::validate() const {
  train.validate();
  require(!online || source == Source::online, [] {
    return "online: found settings with source cache, which has no use for them, expected source online; remove the "
           "section or change source";
  });
}

void DistillConfig::fields(config::Fields& f) {
  f.choice("source", source, {{"cache", Source::cache}, {"online", Source::online}},
           "points from the cache, or from the teacher running beside (with the settings of the cache section)");
  f.section("online", online, "rounds and memory of the source online");
  add_precision(f, precision);
  f.bytes("keep_on_device", keep_on_device,
          "memory of a rank's device for training points of a block that stay ready from one visit to the next; null: "
          "what is free on a GPU, 1 GB on a CPU")
      .at_least(0);
  f.bytes("keep_on_host", keep_on_host,
          "pinned memory of the host, a rank, for training points that do not fit on the GPU; null: 40 % of the "
          "machine's, shared by its ranks")
      .at_least(0);
  f.choice("loss", loss, {{"l1", Loss::l1}, {"mse", Loss::mse}, {"huber", Loss::huber}},
           "distance between the student's and the teacher's attention output");
  f.add("threads", threads, "CPU threads of each rank; fixed, so that results do not depend on the number of ranks")
      .at_least(1);
  f.add("validation_samples", validation_samples, "held-out cache points that each block is evaluated on").at_least(1);
  train.fields(f);
}

}  // namespace rehyat::distill
