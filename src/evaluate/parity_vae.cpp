#include "evaluate/parity_vae.h"

#include <algorithm>

#include "config/config.h"
#include "evaluate/parity_errors.h"
#include "files/json.h"
#include "models/wan/vae_weights.h"

namespace rehyat::evaluate {
namespace {

using json = nlohmann::ordered_json;

/// Errors grow with the number of frames, which pass through the same caches.
constexpr std::int64_t kManyFrames = 81;
constexpr double kToleranceOfMany = 2e-5;

struct VaeCase {
  explicit VaeCase(const ParityRequest& request)
      : reader(request.fixture), where(request.fixture.string()), video(read("video")), latents(read("latents")) {
    options.device = request.device;
    if (video.scalar_type() == at::kDouble && latents.scalar_type() == at::kDouble)
      options.compute = options.weights = at::kDouble;
    vae = models::load_vae(request.weights, with_tiling(options));
  }

  at::Tensor read(const char* name) const { return read_tensor(reader, reader.at(name)); }

  models::VaeOptions with_tiling(models::VaeOptions out) const {
    const auto found = reader.metadata().find("tiling");
    if (found == reader.metadata().end()) return out;
    const std::string key = where + ": metadata 'tiling'";
    out.tiling = config::from_json<models::VaeTiling>(parse_json(found->second, key), key);
    return out;
  }

  json report(const ParityErrors& errors, const char* component) const {
    json out = errors.report(component);
    const double tolerance = std::max(default_tolerance(video.scalar_type()), default_tolerance(latents.scalar_type()));
    const bool many = video.dim() == 5 && video.size(2) >= kManyFrames && options.compute == at::kFloat;
    out["compute"] = at::toString(options.compute);
    out["device"] = options.device.str();
    out["default_tolerance"] = many ? std::max(tolerance, kToleranceOfMany) : tolerance;
    return out;
  }

  safetensors::Reader reader;
  std::string where;
  at::Tensor video, latents;
  models::VaeOptions options;
  models::WanVae vae{nullptr};
};

}  // namespace

json vae_encode_parity(const ParityRequest& request) {
  VaeCase given(request);
  const models::VaePosterior posterior = given.vae->encode(given.video);
  ParityErrors errors;
  errors.add(given.where, "latents", posterior.mode(), given.latents);
  if (given.reader.find("logvar") != nullptr) errors.add(given.where, "logvar", posterior.logvar, given.read("logvar"));
  return given.report(errors, "vae.encode");
}

json vae_decode_parity(const ParityRequest& request) {
  VaeCase given(request);
  ParityErrors errors;
  errors.add(given.where, "video", given.vae->decode(given.latents), given.video);
  return given.report(errors, "vae.decode");
}

}  // namespace rehyat::evaluate
