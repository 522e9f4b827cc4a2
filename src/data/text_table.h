#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/encoders.h"
#include "data/throughput.h"
#include "dist/communicator.h"

namespace rehyat::data {

/// Writes text.h5, the embeddings [L,D] of the captions as text/0, text/1 … in their order. Batches of captions go to
/// whichever rank is free, each into a file of its own that a run started again keeps; rank 0 joins them. The result
/// does not depend on the ranks. Collective. Returns the entry of the manifest on rank 0. Throws UserError when a file
/// cannot be written, Stopped when the run shall stop.
nlohmann::ordered_json write_text_table(const std::vector<std::string>& captions, TextEncoder& encoder,
                                        const std::filesystem::path& folder, Throughput& throughput,
                                        const dist::Communicator& world);

/// Removes the batches' files, once nobody needs them to go on.
void remove_text_parts(const std::filesystem::path& folder);

}  // namespace rehyat::data
