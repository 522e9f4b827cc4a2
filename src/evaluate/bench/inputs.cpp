#include "evaluate/bench/inputs.h"

namespace rehyat::evaluate {

ModelInputs model_inputs(const BenchSubject& subject, const models::Architecture& sizes) {
  constexpr double timestep = 500;
  const auto latent = subject.latent();
  const auto on = at::TensorOptions().device(subject.device);
  return {spread_numbers({subject.batch, sizes.channels, latent[0], latent[1], latent[2]}, 1.7, on),
          at::full({subject.batch}, timestep, on),
          spread_numbers({subject.batch, sizes.text_tokens, sizes.text_width}, 1.7, on)};
}

double weight_bytes(const models::VideoTransformer& model) {
  double out = 0;
  for (const at::Tensor& parameter : model->parameters()) out += static_cast<double>(parameter.nbytes());
  return out;
}

double stream_bytes(const BenchSubject& subject, const models::Architecture& sizes) {
  constexpr double float_bytes = 4;
  return 2 * float_bytes *
         static_cast<double>(subject.batch * sizes.layers * subject.video().tokens(sizes) * sizes.dim);
}

models::BlockAttention attention_of(const BenchSubject& subject) {
  models::BlockAttention converted{.spec = {}, .phi = {}};
  return subject.attention.value_or(converted);
}

OneAttention one_attention(const BenchSubject& subject, const models::ModelRegistry& families,
                           const models::BlockAttention& attention) {
  BenchSubject narrow = subject;
  if (narrow.model.empty()) narrow.layers = 1;
  narrow.attention.reset();
  const models::VideoTransformer model = narrow.make(families, subject.compute);
  const models::Architecture& sizes = model->architecture();
  const auto latent = subject.latent();
  OneAttention out{models::softmax_copy(model->attention(0)), model->rope(latent), sizes.grid(latent)[0]};
  out.attention->convert(attention, 1, 0, models::window_tokens(sizes, latent, attention.spec));
  return out;
}

}  // namespace rehyat::evaluate
