#include "models/wan/vae_options.h"

#include <utility>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::models {

void VaeTiling::fields(config::Fields& f) {
  f.add("tile_height", tile_height, "height of a tile, pixels").at_least(1);
  f.add("tile_width", tile_width, "width of a tile, pixels").at_least(1);
  f.add("stride_height", stride_height, "from one row of tiles to the next, pixels").at_least(1);
  f.add("stride_width", stride_width, "from one column of tiles to the next, pixels").at_least(1);
  f.add("offload", offload, "keep what is remembered of the other tiles in the CPU's memory");
}

void VaeTiling::validate(std::int64_t spatial_stride) const {
  const auto check = [&](const char* side, std::int64_t tile, std::int64_t stride) {
    for (const auto& [name, value] : {std::pair{"tile_", tile}, std::pair{"stride_", stride}}) {
      require(value >= spatial_stride && value % spatial_stride == 0, [&, name = name, value = value] {
        return cat("[vae] ", name, side, ": found ", value, ", expected a multiple of ", spatial_stride);
      });
    }
    require(stride <= tile, [&] {
      return cat("[vae] stride_", side, ": found ", stride, ", expected at most tile_", side, ", ", tile,
                 ", or there are gaps between the tiles");
    });
  };
  check("height", tile_height, stride_height);
  check("width", tile_width, stride_width);
}

std::string latent_settings(const VaeOptions& options) {
  std::string text;
  if (options.compute != at::kFloat) text += cat(":computed in ", c10::toString(options.compute));
  if (options.weights != at::kFloat) text += cat(":weights in ", c10::toString(options.weights));
  if (const auto& t = options.tiling)  // where the tiles' memory waits changes no value
    text += cat(":tiles ", t->tile_height, "x", t->tile_width, "/", t->stride_height, "x", t->stride_width);
  return text;
}

}  // namespace rehyat::models
