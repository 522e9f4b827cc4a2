#include "evaluate/parity.h"

#include "evaluate/parity_attention.h"
#include "evaluate/parity_scheduler.h"
#include "evaluate/parity_text.h"
#include "evaluate/parity_transformer.h"
#include "evaluate/parity_vae.h"

namespace rehyat::evaluate {

const std::vector<ParityComponent>& parity_components() {
  using Weights = ParityComponent::Weights;
  static const std::vector<ParityComponent> all = {
      {"attention", Weights::none, true, attention_parity},
      {"transformer", Weights::needed, false, transformer_parity},
      {"vae.encode", Weights::needed, false, vae_encode_parity},
      {"vae.decode", Weights::needed, false, vae_decode_parity},
      {"text", Weights::needed, false, text_parity},
      {"scheduler", Weights::optional, false, scheduler_parity},
  };
  return all;
}

double default_tolerance(at::ScalarType type) {
  return type == at::kDouble ? 1e-9 : type == at::kFloat ? 1e-5 : 2e-2;
}

}  // namespace rehyat::evaluate
