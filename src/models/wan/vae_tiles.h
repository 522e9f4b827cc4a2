#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <optional>
#include <vector>

#include "models/wan/vae_layers.h"
#include "models/wan/vae_options.h"

namespace rehyat::models {

struct TileSpan {
  std::int64_t begin = 0, size = 0;
  bool operator==(const TileSpan&) const = default;
};
/// One tile every `stride` from 0 on, each cut at `length`.
std::vector<TileSpan> tiles_along(std::int64_t length, std::int64_t tile, std::int64_t stride);

/// Joins rows of tiles [B,C,T,h,w] to one frame. Each tile is blended, in place, with the one above, then with the one
/// to its left, both blended already, over the first `blend_*` rows and columns; then its first `stride_*` are taken.
at::Tensor blend_tiles(std::vector<std::vector<at::Tensor>>& tiles, std::int64_t blend_height, std::int64_t blend_width,
                       std::int64_t stride_height, std::int64_t stride_width);

/// The chunks of one video through an encoder or decoder, whole or tile by tile, with one memory of earlier chunks for
/// each tile: the tiles of a chunk are run one after the other, so that chunks come out in order and no more than one
/// is in memory.
class TiledRun {
 public:
  using Model = std::function<at::Tensor(const at::Tensor& tile, FeatureCache& cache)>;
  /// `in_stride`, `out_stride`: pixels of the video for one step of the model's input and output.
  TiledRun(const std::optional<VaeTiling>& tiling, std::int64_t in_stride, std::int64_t out_stride);
  /// [B,C,T,H,W] -> [B,C',T',H',W']. H and W must be the same for every chunk.
  at::Tensor run(const at::Tensor& chunk, const Model& model);
  /// Bytes that are remembered for the next chunk.
  std::int64_t cache_bytes() const;

 private:
  std::optional<VaeTiling> tiling_;
  std::int64_t in_, out_;
  std::vector<FeatureCache> caches_;
};

}  // namespace rehyat::models
