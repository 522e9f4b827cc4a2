#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "data/dataset/split.h"
#include "files/marked_folder.h"
#include "tensor/hdf5_file.h"
#include "tensor/hdf5_pool.h"

/// The cache of a teacher's activations: one HDF5 file for each trajectory (prompt, noise seed), written whole by one
/// rank, so that its content does not depend on how many ranks there are and a killed run loses only what it was
/// writing.
namespace rehyat::data {

/// A point of a trajectory whose activations are stored.
struct CachePoint {
  std::int64_t step = 0;
  bool conditional = true;  ///< the branch of classifier-free guidance
};

/// Writes the file of one trajectory.
class TrajectoryWriter {
 public:
  TrajectoryWriter(const std::filesystem::path& folder, std::int64_t trajectory);
  /// Adds the attention's input [N,dim] of one block at one point, and its target where targets are stored.
  void add(std::int64_t point, std::int64_t block, const at::Tensor& input, const at::Tensor& target = {});
  void commit(const std::vector<CachePoint>& points);

 private:
  Hdf5Writer file_;
};

bool trajectory_done(const std::filesystem::path& folder, std::int64_t trajectory);

/// Bytes that the activations of a whole cache take.
std::int64_t cache_bytes(std::int64_t trajectories, std::int64_t points, std::int64_t blocks, std::int64_t tokens,
                         std::int64_t dim, std::int64_t element_bytes, bool targets);

/// The folder of a cache. Its marker, manifest.json, holds {"blocks", "latent", "trajectories"}.
MarkedFolder cache_folder(const std::filesystem::path& folder, const Identity& identity);

/// Writes the marker once all trajectories are there. `validation[i]` tells the split of trajectory i; `latent` =
/// [T,H,W].
void finish_cache(const MarkedFolder& folder, const std::vector<bool>& validation,
                  const std::vector<std::int64_t>& blocks, const std::vector<std::int64_t>& latent);

/// Reads a finished cache.
class ActivationCache {
 public:
  /// Throws UserError when the folder is not complete or was made from something else.
  ActivationCache(std::filesystem::path folder, const Identity& identity);

  std::int64_t size(Split split) const;
  /// Input [N,dim] of a block at the i-th point of a split, in the stored type, in memory of `memory` where it is
  /// given. Several threads may ask; one after the other reads.
  at::Tensor input(Split split, std::int64_t i, std::int64_t block, const HostMemory& memory = {}) const;
  bool has_targets() const { return has_targets_; }
  at::Tensor target(Split split, std::int64_t i, std::int64_t block, const HostMemory& memory = {}) const;
  const std::vector<std::int64_t>& blocks() const { return blocks_; }
  const std::vector<std::int64_t>& latent() const { return latent_; }

 private:
  struct Entry {
    std::size_t file;
    std::int64_t point;
  };
  at::Tensor read(Split split, std::int64_t i, std::int64_t block, const char* what, const HostMemory& memory) const;

  std::filesystem::path folder_;
  std::unique_ptr<std::mutex> reading_ = std::make_unique<std::mutex>();  ///< of files_
  Hdf5Pool files_;
  std::vector<Entry> train_, validation_;
  std::vector<std::int64_t> blocks_, latent_;
  bool has_targets_ = false;
};

}  // namespace rehyat::data
