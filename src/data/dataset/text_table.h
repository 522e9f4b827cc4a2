#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "models/encoders.h"
#include "tensor/hdf5_pool.h"

namespace rehyat::data {

/// What write_text_table needs beside the captions.
struct TextTableJob {
  models::TextEncoder& encoder;
  std::filesystem::path folder;
  std::string command;                          ///< the stage, for messages and progress: "prepare"
  std::function<void(double)> spent = nullptr;  ///< told the seconds that this rank spent on each batch
};

/// Writes text.h5, the embeddings [L,D] of the captions as text/0, text/1 … in their order. Zero rows at the end, the
/// encoder's padding, are left out: of 512 rows of UMT5 a caption fills a few dozen. Batches of captions go to
/// whichever rank is free, each into a file of its own, which a later start takes over; rank 0 joins them. The
/// result does not depend on the ranks. A table of the same captions that is there already is taken as it is, so the
/// folder must be of one encoder. Collective. Returns the table's entry for a manifest. Throws UserError when a file
/// cannot be written, Stopped when the run shall stop.
nlohmann::ordered_json write_text_table(const std::vector<std::string>& captions, const TextTableJob& job,
                                        const comm::Communicator& world);

/// Removes the batches' files. Call once the table's folder counts as complete.
void remove_text_parts(const std::filesystem::path& folder);

/// Reads embeddings of such a table as they are asked for; a few stay in memory.
class TextTable {
 public:
  TextTable() = default;
  /// `entry`: what write_text_table returned. Throws UserError when the file is missing or has another size, with the
  /// advice to run `command` again, and a json exception where the entry is none.
  TextTable(const std::filesystem::path& folder, const nlohmann::ordered_json& entry, const std::string& command);

  /// The i-th embedding [L,D], zero-padded again, its checksum verified.
  at::Tensor at(std::size_t i) const;

 private:
  Hdf5Pool file_;
  std::int64_t length_ = 0;  ///< L; 0: a table of an older version, which holds whole embeddings
  mutable std::map<std::size_t, at::Tensor> in_memory_;
  mutable std::size_t bytes_ = 0;  ///< of in_memory_, which is emptied when it grows too large
};

}  // namespace rehyat::data
