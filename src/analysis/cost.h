#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "models/architecture.h"
#include "models/video_geometry.h"
#include "ops/attention_spec.h"
#include "ops/feature_map.h"

/// What a hybrid video transformer costs, from its architecture alone: 2 FLOP a multiply-accumulate of the matrix
/// products, 10^12 of them a TFLOP; norms, activations and softmax are not counted.
namespace rehyat::analysis {

/// A video in pixels and frames, as a codec lays it out.
struct VideoSize {
  std::int64_t frames = 0, height = 0, width = 0;
  models::VideoGeometry geometry;

  std::array<std::int64_t, 3> latent() const { return geometry.latent(frames, height, width); }
  std::int64_t slices(const models::Architecture& model) const { return model.grid(latent())[0]; }
  std::int64_t tokens_per_slice(const models::Architecture& model) const;
  std::int64_t tokens(const models::Architecture& model) const { return slices(model) * tokens_per_slice(model); }
  /// Throws UserError unless codec and model take the size.
  void validate(const models::Architecture& model) const;
};

/// One transformer block at one video size and batch 1, counted twice: the paper's count recomputes the linear state
/// for every chunk (K = sum of |L(t)|), the recurrent count folds every token in once (K = N).
struct BlockCost {
  std::string kind;                          ///< by name
  std::optional<std::int64_t> tc, to, rate;  ///< where the kind has them
  std::optional<bool> causal;
  std::int64_t frames = 0, height = 0, width = 0;
  double block_tflops_paper = 0;
  std::optional<double> block_tflops_recurrent;  ///< of kinds that have a recurrent form
  double attention_tflops = 0;                   ///< of softmax, phi and linear branch by the paper's count
  std::int64_t state_bytes = 0;                  ///< S and z, float32; 0 without a recurrent form
  std::int64_t ring_bytes = 0;                   ///< keys and values of the overlap's slices, 2 bytes a number
  std::int64_t parameters = 0;                   ///< of the block, phi included
  std::int64_t phi_parameters = 0;

  /// The recurrent count where there is one, else the paper's.
  double cheapest_tflops() const { return block_tflops_recurrent.value_or(block_tflops_paper); }
};
nlohmann::ordered_json to_json(const BlockCost& cost);

/// Throws UserError on sizes or a spec that do not fit.
BlockCost block_cost(const models::Architecture& model, const VideoSize& video, const ops::AttentionSpec& spec,
                     const ops::FeatureMapConfig& phi = {});

/// TFLOP of one block's attention at batch 1, projections left out, with every token folded into a state once.
struct AttentionWork {
  double softmax = 0;  ///< scores and weighted values
  double phi = 0;      ///< both feature maps
  double linear = 0;   ///< phi_q S and the sums of the states
  double total() const { return softmax + phi + linear; }
};
/// Throws UserError on sizes or a spec that do not fit.
AttentionWork attention_work(const models::Architecture& model, const VideoSize& video, const ops::AttentionSpec& spec,
                             const ops::FeatureMapConfig& phi = {});

/// Parameters of phi_q and phi_k together for one block.
std::int64_t phi_parameters(const models::Architecture& model, const ops::FeatureMapConfig& phi);
/// Parameters of the softmax model (1,418,996,800 of Wan2.1 T2V 1.3B).
std::int64_t model_parameters(const models::Architecture& model);

/// The attention of one block of a hybrid model.
struct BlockChoice {
  ops::AttentionSpec attention;
  ops::FeatureMapConfig phi;
};
/// A block that was not converted.
BlockChoice softmax_block();

/// One forward pass of a whole hybrid model at batch 1.
struct ModelCost {
  std::vector<BlockCost> blocks;
  double outside_tflops = 0;  ///< patch, time and text embeddings and the head
  double tflops_paper = 0;
  double tflops_recurrent = 0;  ///< blocks without a recurrent form at the paper's count
  double tflops_softmax = 0;    ///< of the same model with no block converted
  std::int64_t parameters = 0, phi_parameters = 0;
  std::int64_t state_bytes = 0, ring_bytes = 0;
  bool constant_memory = false;  ///< whether the model can be sampled chunk by chunk: all blocks are
                                 ///< recurrent and have one chunk size
};
nlohmann::ordered_json to_json(const ModelCost& cost);

/// One choice a layer; throws UserError if their number differs from the layers.
ModelCost model_cost(const models::Architecture& model, const VideoSize& video, const std::vector<BlockChoice>& blocks);

/// Bytes that chunk-by-chunk sampling holds: one state and ring for each block, denoising step and guidance branch.
/// `number_bytes`: of a number in the ring, which is of the compute type; the states are float32 whatever it is.
std::int64_t sampling_state_bytes(const ModelCost& model, std::int64_t steps, std::int64_t branches,
                                  std::int64_t number_bytes);
/// Bytes that sampling holds of its texts, padded to their full length, from the first denoising step to the last.
std::int64_t sampling_text_bytes(const models::Architecture& model, std::int64_t branches, std::int64_t number_bytes);

}  // namespace rehyat::analysis
