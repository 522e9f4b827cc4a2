#include "evaluate/parity_transformer.h"

#include <map>

#include "core/error.h"
#include "core/strings.h"
#include "evaluate/parity_errors.h"
#include "tensor/io.h"

namespace rehyat::evaluate {
namespace {

constexpr const char* kGradient = "grad.";

at::Tensor read(const safetensors::Reader& reader, const char* name, at::ScalarType type) {
  return read_tensor(reader, reader.at(name)).to(type).clone();
}

/// One timestep for each sample of the batch.
at::Tensor read_timestep(const safetensors::Reader& reader, std::int64_t batch) {
  const at::Tensor timestep = read(reader, "timestep", at::kFloat);
  require(timestep.dim() <= 1 && (timestep.numel() == 1 || timestep.numel() == batch), [&] {
    return cat(reader.path().string(), ": tensor 'timestep': found shape ", shape_string(timestep.sizes().vec()),
               ", expected [", batch, "]");
  });
  return timestep.view(-1).expand({batch}).contiguous();
}

void add_gradients(ParityErrors& errors, const safetensors::Reader& reader,
                   const std::map<std::string, at::Tensor>& variables) {
  const std::string where = reader.path().string();
  for (const auto& info : reader.tensors()) {
    if (!info.name.starts_with(kGradient)) continue;
    const auto found = variables.find(info.name.substr(std::string(kGradient).size()));
    require(found != variables.end(), [&] {
      return cat(where, ": found the tensor '", info.name,
                 "', expected grad.hidden_states, grad.encoder_hidden_states or grad. and a parameter's name");
    });
    const at::Tensor gradient =
        found->second.grad().defined() ? found->second.grad() : at::zeros_like(found->second.detach());
    errors.add(where, info.name, gradient, read_tensor(reader, info));
  }
}

}  // namespace

nlohmann::ordered_json transformer_parity(const ParityRequest& request) {
  const safetensors::Reader reader(request.fixture);
  const std::string where = request.fixture.string();
  const at::ScalarType type = to_scalar_type(reader.at("hidden_states").dtype);
  require(at::isFloatingType(type), [&] {
    return cat(where, ": tensor 'hidden_states': found type ", at::toString(type), ", expected a floating type");
  });
  const at::ScalarType wide = type == at::kDouble ? at::kDouble : at::kFloat;
  models::LoadOptions options;
  options.device = request.device;
  options.type = wide;
  models::VideoTransformer model = request.families.load(request.weights, options);
  if (wide == at::kDouble) model->to(wide);  // feature maps are loaded in float32

  const bool gradients = reader.find("grad_sample") != nullptr;
  const at::AutoGradMode mode(gradients);
  at::Tensor latents = read(reader, "hidden_states", wide).to(request.device),
             text = read(reader, "encoder_hidden_states", wide).to(request.device);
  require(latents.dim() == 5, [&] {
    return cat(where, ": tensor 'hidden_states': found shape ", shape_string(latents.sizes().vec()),
               ", expected [B, C, T, H, W]");
  });
  latents.requires_grad_(gradients);
  text.requires_grad_(gradients);
  models::ForwardOptions forward;
  forward.compute = type;
  const at::Tensor timestep = read_timestep(reader, latents.size(0)).to(request.device),
                   sample = model->forward(latents, timestep, text, forward);

  ParityErrors errors;
  errors.add(where, "sample", sample, read_tensor(reader, reader.at("sample")));
  if (gradients) {
    sample.backward(read_tensor(reader, "grad_sample", sample.sizes()).to(request.device, wide));
    std::map<std::string, at::Tensor> variables = {{"hidden_states", latents}, {"encoder_hidden_states", text}};
    for (const auto& item : model->named_parameters()) variables.emplace(item.key(), item.value());
    add_gradients(errors, reader, variables);
  }
  nlohmann::ordered_json report = errors.report("transformer");
  report["dtype"] = at::toString(type);
  report["device"] = request.device.str();
  report["default_tolerance"] = default_tolerance(type);
  return report;
}

}  // namespace rehyat::evaluate
