#include "models/wan/config.h"

#include "core/strings.h"

namespace rehyat::models {
namespace {

std::int64_t dense_parameters(std::int64_t in, std::int64_t out) {
  return in * out + out;
}

PartCost block_of(const WanConfig& c) {
  const std::int64_t attention = 4 * dense_parameters(c.dim, c.dim) + 2 * c.dim;  // with the norms of q and k
  const std::int64_t ffn = dense_parameters(c.dim, c.ffn_dim) + dense_parameters(c.ffn_dim, c.dim);
  const double dim = static_cast<double>(c.dim), text = static_cast<double>(c.text_length);
  PartCost cost;
  cost.parameters = 2 * attention + ffn + 2 * c.dim + 6 * c.dim;  // norm2 and the modulation table
  // Projections of the self-attention; queries, output and scores of the cross-attention; feed-forward.
  cost.macs_per_token = 4 * dim * dim + 2 * dim * dim + 2 * text * dim + 2 * dim * static_cast<double>(c.ffn_dim);
  cost.macs_per_video = 2 * text * dim * dim;  // keys and values of the text
  return cost;
}

PartCost outside_of(const WanConfig& c) {
  const std::int64_t in = c.in_channels * c.patch * c.patch, out = c.out_channels * c.patch * c.patch;
  const std::int64_t time =
      dense_parameters(c.freq_dim, c.dim) + dense_parameters(c.dim, c.dim) + dense_parameters(c.dim, 6 * c.dim);
  const std::int64_t text = dense_parameters(c.text_dim, c.dim) + dense_parameters(c.dim, c.dim);
  const double dim = static_cast<double>(c.dim);
  PartCost cost;
  cost.parameters = dense_parameters(in, c.dim) + time + text + dense_parameters(c.dim, out) + 2 * c.dim;
  cost.macs_per_token = static_cast<double>(in + out) * dim;
  cost.macs_per_video = static_cast<double>(c.text_length) * (static_cast<double>(c.text_dim) * dim + dim * dim) +
                        static_cast<double>(c.freq_dim) * dim + dim * dim + 6 * dim * dim;
  return cost;
}

}  // namespace

Architecture WanConfig::architecture() const {
  Architecture a;
  a.family = "wan";
  a.dim = dim, a.layers = layers, a.heads = heads;
  a.text_width = text_dim, a.text_tokens = text_length;
  a.channels = in_channels, a.out_channels = out_channels;
  a.patch = {1, patch, patch};
  a.block = block_of(*this);
  a.outside = outside_of(*this);
  a.text_numbers = (1 + 2 * layers) * dim;  // the embedded text; keys and values of each block
  // As the kernels of a GPU keep it. Self-attention: its input, q, k before and after their norms, v, what it attends
  // to, its projection for the gate. Cross-attention: its input, q before and after its norm, what it attends to.
  // Feed-forward: its input, what goes into the activation, its result for the gate. The stream before each of the
  // three.
  a.saved_by_block = {.compute = (8 + 4 + 2) * dim + ffn_dim, .wide = 3 * dim};
  a.saved_outside = {.compute = 0, .wide = 3 * dim};  // the head: the residual, its norm, the modulated norm
  // The feed-forward: of its result, the gated result and the activation, which is made again.
  a.backward_working = {.compute = dim + 2 * ffn_dim, .wide = 2 * dim};
  return a;
}

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
  require(in_channels * patch <= 1'000'000 / patch && out_channels * patch <= 1'000'000 / patch, [&] {
    return cat("[model] found ", in_channels, " and ", out_channels, " channels in patches of ", patch, "x", patch,
               ", expected at most 1,000,000 numbers in one");
  });
  require(freq_dim % 2 == 0, [&] { return cat("[model] freq_dim: found ", freq_dim, ", expected an even number"); });
}

}  // namespace rehyat::models
