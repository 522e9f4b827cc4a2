#include "finetune/config.h"

namespace rehyat::finetune {

void FlowTrainingConfig::fields(config::Fields& f) {
  train.fields(f);
  f.section("flow", flow, "how noise levels are drawn");
  f.add("global_batch", global_batch, "samples of one step, over all ranks").at_least(1);
  f.add("micro_batch", micro_batch, "samples run at once on one rank").at_least(1);
  f.add("caption_dropout", caption_dropout, "share of samples that get the empty prompt").between(0, 1);
  f.choice("trainable", trainable,
           {{"all", Trainable::all},
            {"blocks", Trainable::blocks},
            {"attention", Trainable::attention},
            {"feature_maps", Trainable::feature_maps}},
           "parameters that training changes: all of the model; or of its converted blocks all, the self-attention or "
           "the feature maps");
  add_precision(f, precision);
  f.choice(
      "recompute", recompute,
      {{"auto", RecomputePolicy::automatic},
       {"none", RecomputePolicy::none},
       {"selective", RecomputePolicy::selective},
       {"full", RecomputePolicy::full}},
      "activation checkpointing: full keeps the inputs of each block alone and runs it again in the backward pass, "
      "selective also keeps what its self-attention computed, none keeps all; auto: as little as the memory "
      "allows, where blocks may differ; the result is the same");
  f.bytes("memory", memory,
          "of one GPU, within which recompute=auto decides, as 45GB for example; null: nine tenths of what it has")
      .at_least(1)
      .only("with recompute auto", [this] { return recompute == RecomputePolicy::automatic; });
  f.choice("offload", train.offload, {{"none", train::Offload::none}, {"optimizer", train::Offload::optimizer}},
           "optimizer: float32 weights, AdamW's moments and the averaged weights stay in host memory and pass through "
           "the GPU in each step, 12 bytes a parameter less there; the result is the same");
  f.add("validation_samples", validation_samples, "held-out points (clip, noise level, noise) that are evaluated")
      .at_least(1);
}

models::RecomputePlan FlowTrainingConfig::decided_recompute() const {
  if (recompute == RecomputePolicy::full) return models::Recompute::full;
  if (recompute == RecomputePolicy::selective) return models::Recompute::selective;
  return recompute == RecomputePolicy::none ? models::RecomputePlan() : automatic_plan;
}

void FlowTrainingConfig::validate() const {
  train.validate();
}

}  // namespace rehyat::finetune
