#pragma once

#include "models/model_files.h"

namespace rehyat::models {

/// The folder of a pipeline that holds its transformer.
constexpr const char* kPipelineTransformer = "transformer";

/// The parts under `weights`: a pipeline's folder of diffusers (model_index.json), a folder of the original repository
/// (Wan2.1_VAE.pth and google/umt5-xxl beside the transformer), or a transformer alone, folder or file. Throws
/// UserError on a pipeline of another kind, and on a folder that holds transformers of both layouts; of VAE and text
/// encoder the doubt is noted, for they may be named.
ModelFiles find_wan(const std::filesystem::path& weights);

/// Whether a folder is a pipeline of this kind. Throws nothing.
bool is_wan_pipeline(const std::filesystem::path& folder);

}  // namespace rehyat::models
