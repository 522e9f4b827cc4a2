#pragma once

#include "evaluate/bench_subject.h"
#include "models/hybrid.h"

/// What several modes give to a model.
namespace rehyat::evaluate {

/// One batch for a forward pass, float32 on the subject's device.
struct ModelInputs {
  at::Tensor latents, time, text;  ///< [B,C,T,H,W], [B], [B,L,width]
};
ModelInputs model_inputs(const BenchSubject& subject, const models::Architecture& sizes);

/// Bytes of all weights.
double weight_bytes(const models::VideoTransformer& model);
/// Bytes of the float32 residual stream, once read and once written by each block.
double stream_bytes(const BenchSubject& subject, const models::Architecture& sizes);

/// The attention of the subject, or where it names none the default of a converted block.
models::BlockAttention attention_of(const BenchSubject& subject);
/// One self-attention of so wide a model with arbitrary projections in the type of the products and feature maps of
/// the given attention, with the RoPE tables of the subject's video.
struct OneAttention {
  models::SelfAttention attention{nullptr};
  ops::RopeTables rope;
  std::int64_t slices = 0;
};
OneAttention one_attention(const BenchSubject& subject, const models::ModelRegistry& families,
                           const models::BlockAttention& attention);

}  // namespace rehyat::evaluate
