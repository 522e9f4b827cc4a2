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

/// Distils the feature maps of each block as a job of its own, shared out over the ranks. The files
/// phi-00012.safetensors in `folder` depend on (teacher, source, settings, seed, block) alone, not on the number of
/// ranks. Finished blocks are kept by a run that is started again, others go on from their last checkpoint; a block
/// that fails is reported at the end, and the others are kept. Collective.
std::vector<BlockResult> distill(const models::VideoTransformer& teacher, const models::BlockMap& blocks,
                                 PointSource& source, const DistillConfig& config, std::uint64_t seed,
                                 const std::string& fingerprint, const std::filesystem::path& folder,
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
