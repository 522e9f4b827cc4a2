#include "models/wan/vae_tiles.h"

#include <algorithm>

#include "core/strings.h"

namespace rehyat::models {
namespace {

/// Fades along `dim` from the end of `before` into the start of `tile`, which is changed.
void blend_into(const at::Tensor& before, at::Tensor& tile, std::int64_t extent, std::int64_t dim) {
  extent = std::min({extent, before.size(dim), tile.size(dim)});
  if (extent == 0) return;
  std::vector<std::int64_t> shape(static_cast<std::size_t>(tile.dim()), 1);
  shape[static_cast<std::size_t>(dim)] = extent;
  const at::Tensor weight = (at::arange(extent, at::kDouble) / static_cast<double>(extent)).view(shape);
  const at::Tensor old_part = before.narrow(dim, before.size(dim) - extent, extent),
                   new_part = tile.narrow(dim, 0, extent);
  new_part.copy_(old_part * (1 - weight).to(tile.options()) + new_part * weight.to(tile.options()));
}

}  // namespace

std::vector<TileSpan> tiles_along(std::int64_t length, std::int64_t tile, std::int64_t stride) {
  std::vector<TileSpan> out;
  for (std::int64_t begin = 0; begin < length; begin += stride) out.push_back({begin, std::min(tile, length - begin)});
  return out;
}

at::Tensor blend_tiles(std::vector<std::vector<at::Tensor>>& tiles, std::int64_t blend_height, std::int64_t blend_width,
                       std::int64_t stride_height, std::int64_t stride_width) {
  std::vector<at::Tensor> rows;
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    std::vector<at::Tensor> row;
    for (std::size_t j = 0; j < tiles[i].size(); ++j) {
      at::Tensor& tile = tiles[i][j];
      if (i > 0) blend_into(tiles[i - 1][j], tile, blend_height, 3);
      if (j > 0) blend_into(tiles[i][j - 1], tile, blend_width, 4);
      row.push_back(
          tile.narrow(3, 0, std::min(stride_height, tile.size(3))).narrow(4, 0, std::min(stride_width, tile.size(4))));
    }
    rows.push_back(at::cat(row, 4));
  }
  return at::cat(rows, 3);
}

TiledRun::TiledRun(const std::optional<VaeTiling>& tiling, std::int64_t in_stride, std::int64_t out_stride)
    : tiling_(tiling), in_(in_stride), out_(out_stride) {}

at::Tensor TiledRun::run(const at::Tensor& chunk, const Model& model) {
  if (!tiling_ || !tiling_->cuts(chunk.size(3) * in_, chunk.size(4) * in_)) {
    caches_.resize(1);
    return model(chunk, caches_.front());
  }
  const VaeTiling& t = *tiling_;
  const auto rows = tiles_along(chunk.size(3), t.tile_height / in_, t.stride_height / in_),
             columns = tiles_along(chunk.size(4), t.tile_width / in_, t.stride_width / in_);
  caches_.resize(rows.size() * columns.size());
  std::vector<std::vector<at::Tensor>> tiles(rows.size());
  std::size_t place = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const TileSpan& column : columns) {
      FeatureCache& cache = caches_[place++];
      if (t.offload) cache.to(chunk.device());
      tiles[i].push_back(
          model(chunk.narrow(3, rows[i].begin, rows[i].size).narrow(4, column.begin, column.size), cache));
      if (t.offload) cache.to(at::kCPU);
    }
  }
  return blend_tiles(tiles, (t.tile_height - t.stride_height) / out_, (t.tile_width - t.stride_width) / out_,
                     t.stride_height / out_, t.stride_width / out_);
}

std::int64_t TiledRun::cache_bytes() const {
  std::int64_t sum = 0;
  for (const FeatureCache& cache : caches_) sum += cache.bytes();
  return sum;
}

}  // namespace rehyat::models
