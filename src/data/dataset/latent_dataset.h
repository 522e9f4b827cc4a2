#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "data/dataset/manifest.h"
#include "data/dataset/split.h"
#include "data/dataset/text_table.h"
#include "tensor/hdf5_pool.h"

namespace rehyat::data {

struct LatentSample {
  at::Tensor latents;  ///< [channels,T,H,W] as the codec made them, float32
  at::Tensor text;     ///< [L,D] float32
  std::string caption, clip;
};

/// Reads samples of a prepared dataset as they are asked for. A few files stay open and a few embeddings in memory,
/// however large the dataset is. Several threads may ask; one after the other reads.
class LatentDataset {
 public:
  /// Throws UserError when the folder is not complete, was made from something else, or a file has another size.
  LatentDataset(std::filesystem::path folder, const Identity& identity);

  std::int64_t size(Split split) const;
  /// The number of buckets. A dataset without buckets has one, number 0.
  std::size_t buckets() const { return buckets_; }
  std::size_t bucket(Split split, std::int64_t i) const {
    return entries(split).at(static_cast<std::size_t>(i)).bucket;
  }
  /// The numbers of a bucket's samples, ascending.
  const std::vector<std::int64_t>& of_bucket(Split split, std::size_t bucket) const {
    return (split == Split::train ? train_of_ : validation_of_).at(bucket);
  }
  /// The i-th sample of a split, checksums verified.
  LatentSample get(Split split, std::int64_t i) const;
  /// The source clip of the i-th sample; reads nothing.
  const std::string& clip(Split split, std::int64_t i) const {
    return entries(split).at(static_cast<std::size_t>(i)).clip;
  }
  /// Embedding of the empty prompt, [L,D].
  const at::Tensor& empty_text() const { return empty_text_; }
  /// The captions of a split by number, in the order of their first use, each once.
  std::vector<std::size_t> captions(Split split) const;
  const std::string& caption(std::size_t number) const { return captions_.at(number); }
  /// A caption's embedding, [L,D].
  at::Tensor text(std::size_t caption) const;

 private:
  struct Entry {
    std::size_t shard;
    std::int64_t index;
    std::string clip;
    std::size_t caption;
    std::size_t bucket = 0;
  };
  const std::vector<Entry>& entries(Split split) const { return split == Split::train ? train_ : validation_; }

  std::filesystem::path folder_;
  std::unique_ptr<std::mutex> reading_ = std::make_unique<std::mutex>();  ///< of shards_ and text_
  Hdf5Pool shards_;
  TextTable text_;
  at::Tensor empty_text_;
  std::vector<std::string> captions_;
  std::vector<Entry> train_, validation_;
  std::size_t buckets_ = 1;
  std::vector<std::vector<std::int64_t>> train_of_, validation_of_;  ///< of each bucket
};

}  // namespace rehyat::data
