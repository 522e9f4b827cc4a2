#include "app/parity_vae.h"

#include "app/parity_errors.h"
#include "core/config.h"
#include "models/wan/vae_weights.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;

models::VaeOptions options_of(const safetensors::Reader& fixture) {
  models::VaeOptions options;
  const auto found = fixture.metadata().find("tiling");
  if (found == fixture.metadata().end()) return options;
  const std::string where = fixture.path().string() + ": metadata 'tiling'";
  const json settings = json::parse(found->second, nullptr, false);
  require(settings.is_object(), [&] { return where + ": found text that is no JSON object, expected one"; });
  options.tiling = config::from_json<models::VaeTiling>(settings, where);
  return options;
}

}  // namespace

json vae_encode_parity(const std::filesystem::path& weights, const std::filesystem::path& fixture) {
  const safetensors::Reader reader(fixture);
  const auto& video = reader.at("video");
  const auto& latents = reader.at("latents");
  models::WanVae vae = models::load_vae(weights, options_of(reader));
  const models::VaePosterior posterior = vae->encode(read_tensor(reader, video));
  ParityErrors errors;
  errors.add(fixture.string(), "latents", posterior.mode(), read_tensor(reader, latents));
  if (reader.find("logvar") != nullptr)
    errors.add(fixture.string(), "logvar", posterior.logvar, read_tensor(reader, reader.at("logvar")));
  return errors.report("vae.encode");
}

json vae_decode_parity(const std::filesystem::path& weights, const std::filesystem::path& fixture) {
  const safetensors::Reader reader(fixture);
  const auto& video = reader.at("video");
  const auto& latents = reader.at("latents");
  models::WanVae vae = models::load_vae(weights, options_of(reader));
  ParityErrors errors;
  errors.add(fixture.string(), "video", vae->decode(read_tensor(reader, latents)), read_tensor(reader, video));
  return errors.report("vae.decode");
}

}  // namespace rehyat::app
