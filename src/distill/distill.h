#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "distill/config.h"
#include "distill/point_source.h"
#include "models/hybrid.h"

namespace rehyat::distill {

/// Held-out errors of one block: sum|student - teacher| / sum|teacher|, mean over points.
struct BlockResult {
  std::int64_t block = 0;
  double window_only = 0;  ///< the linear branch off
  double untrained = 0;    ///< phi as it starts
  double distilled = 0;
  double seconds = 0;  ///< over all starts

  void fields(config::Fields& f);
};

/// What is distilled, and where its files lie.
struct Distillation {
  models::VideoTransformer teacher{nullptr};
  models::BlockMap blocks;  ///< each with the attention that it is converted to
  DistillConfig config;
  std::uint64_t seed = 0;
  std::string fingerprint;  ///< of all that decides the result: an earlier start goes on where this is the same
  std::filesystem::path folder;
};

/// Distils the feature maps of each block as a job of its own, shared out over the ranks. The files
/// phi-00012.safetensors in the folder depend on (teacher, source, settings, seed, block) alone, not on the number of
/// ranks. A run that is started again takes finished blocks as they are and goes on with the others from their last
/// checkpoint. It tells which blocks failed once all have had their turn. Collective.
std::vector<BlockResult> distill(const Distillation& distillation, PointSource& source,
                                 const comm::Communicator& world);

/// "phi-00012": the name of a block's maps (.safetensors) in the folder of a distillation, and of the folder beside
/// them that is marked once they are whole.
std::string block_name(std::int64_t block);
/// The marker in that folder.
constexpr const char* kBlockMarker = "block.json";

/// Puts the distilled maps into a model whose blocks were converted alike.
void load_feature_maps(const models::VideoTransformer& model, const models::BlockMap& blocks,
                       const std::filesystem::path& folder, const std::string& fingerprint);

}  // namespace rehyat::distill
