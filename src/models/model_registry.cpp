#include "models/model_registry.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "core/error.h"
#include "core/strings.h"
#include "models/wan/family.h"

namespace rehyat::models {

ModelRegistry::ModelRegistry(std::vector<std::shared_ptr<const ModelFamily>> families, EncoderRegistry encoders)
    : families_(std::move(families)), encoders_(std::move(encoders)) {
  assert(!families_.empty());
}

const ModelFamily& ModelRegistry::named(const std::string& name) const {
  const auto found =
      std::find_if(families_.begin(), families_.end(), [&](const auto& family) { return family->name() == name; });
  require(found != families_.end(),
          [&] { return cat("model.family: found ", excerpt(name), ", expected one of ", join(names(), ", ")); });
  return **found;
}

const ModelFamily& ModelRegistry::of_files(const std::filesystem::path& path) const {
  const auto found =
      std::find_if(families_.begin(), families_.end(), [&](const auto& family) { return family->recognises(path); });
  return found != families_.end() ? **found : *families_.front();
}

const ModelFamily& ModelRegistry::of(const VideoTransformer& model) const {
  return named(model->architecture().family);
}

std::vector<std::string> ModelRegistry::names() const {
  std::vector<std::string> out;
  for (const auto& family : families_) out.push_back(family->name());
  return out;
}

ModelFiles ModelRegistry::find(const std::filesystem::path& weights) const {
  return weights.empty() ? ModelFiles() : of_files(weights).find(weights);
}

Architecture ModelRegistry::read_architecture(const std::filesystem::path& path) const {
  return of_files(path).read_architecture(path);
}

VideoTransformer ModelRegistry::load(const std::filesystem::path& path, const LoadOptions& options) const {
  return of_files(path).load(path, options);
}

void ModelRegistry::save(const std::filesystem::path& path, const VideoTransformer& model,
                         const SaveOptions& options) const {
  of(model).save(path, model, options);
}

std::string ModelRegistry::fingerprint(const std::filesystem::path& path) const {
  return of_files(path).fingerprint(path);
}

ModelRegistry known_models() {
  return ModelRegistry({
      std::make_shared<WanFamily>(),
  });
}

}  // namespace rehyat::models
