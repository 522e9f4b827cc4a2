#include "models/wan/config.h"

#include "core/strings.h"

namespace rehyat::models {

void WanConfig::fields(config::Fields& f) {
  f.add("dim", dim, "width of the residual stream").at_least(1);
  f.add("layers", layers, "transformer blocks").at_least(1);
  f.add("heads", heads, "attention heads").at_least(1);
  f.add("ffn_dim", ffn_dim, "width of the feed-forward layers").at_least(1);
  f.add("freq_dim", freq_dim, "width of the timestep's sinusoid").at_least(2);
  f.add("text_dim", text_dim, "width of the text embeddings").at_least(1);
  f.add("text_length", text_length, "text slots").at_least(1);
  f.add("in_channels", in_channels, "latent channels in").at_least(1);
  f.add("out_channels", out_channels, "latent channels out").at_least(1);
  f.add("patch", patch, "height and width of a patch").at_least(1);
  f.add("eps", eps, "of the norms").above(0);
}

void WanConfig::validate() const {
  for (const std::int64_t size :
       {dim, layers, heads, ffn_dim, freq_dim, text_dim, text_length, in_channels, out_channels, patch}) {
    require(size >= 1 && size <= 1'000'000,
            [&] { return cat("[model] found a size of ", size, ", expected 1 to 1,000,000"); });
  }
  require(dim % heads == 0 && head_width() % 2 == 0 && head_width() >= 6, [&] {
    return cat("[model] found dim ", dim, " and ", heads, " heads, expected an even head width of at least 6");
  });
  require(freq_dim % 2 == 0, [&] { return cat("[model] freq_dim: found ", freq_dim, ", expected an even number"); });
}

}  // namespace rehyat::models
