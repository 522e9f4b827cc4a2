#include "evaluate/parity_text.h"

#include "evaluate/parity_errors.h"
#include "models/umt5/encoder.h"

namespace rehyat::evaluate {

nlohmann::ordered_json text_parity(const ParityRequest& request) {
  const std::string where = request.fixture.string();
  const auto source = open_safetensors({request.fixture}, where);
  const at::Tensor expected = source->read("last_hidden_state");
  const models::Umt5Encoder encoder(models::open_umt5(request.weights), request.device, expected.scalar_type());
  const at::Tensor found =
      encoder.forward(source->read("input_ids").to(at::kLong), source->read("attention_mask").to(at::kLong));
  ParityErrors errors;
  errors.add(where, "last_hidden_state", found, expected);
  nlohmann::ordered_json report = errors.report("text");
  report["dtype"] = at::toString(expected.scalar_type());
  report["device"] = request.device.str();
  report["default_tolerance"] = default_tolerance(expected.scalar_type());
  return report;
}

}  // namespace rehyat::evaluate
