#include "app/parity_text.h"

#include "app/parity_errors.h"
#include "models/umt5/encoder.h"

namespace rehyat::app {

nlohmann::ordered_json text_parity(const std::filesystem::path& weights, const std::filesystem::path& fixture) {
  const auto source = open_safetensors({fixture}, fixture.string());
  const at::Tensor expected = source->read("last_hidden_state");
  const models::Umt5Encoder encoder(models::open_umt5(weights), at::kCPU, expected.scalar_type());
  const at::Tensor found =
      encoder.forward(source->read("input_ids").to(at::kLong), source->read("attention_mask").to(at::kLong));
  ParityErrors errors;
  errors.add(fixture.string(), "last_hidden_state", found, expected);
  return errors.report("text");
}

}  // namespace rehyat::app
