#include "models/model_registry.h"

#include <algorithm>
#include <cassert>
#include <cctype>
#include <utility>

#include "core/error.h"
#include "core/strings.h"
#include "models/wan/family.h"

namespace rehyat::models {
namespace {

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

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

std::vector<PublishedArchitecture> ModelRegistry::all_published() const {
  std::vector<PublishedArchitecture> out;
  for (const auto& family : families_) {
    for (PublishedArchitecture& model : family->published()) out.push_back(std::move(model));
  }
  return out;
}

std::vector<std::string> ModelRegistry::published_names() const {
  std::vector<std::string> out;
  for (const PublishedArchitecture& model : all_published()) out.push_back(model.name);
  return out;
}

PublishedArchitecture ModelRegistry::published(const std::string& name) const {
  for (PublishedArchitecture& model : all_published()) {
    if (model.name == name) return model;
  }
  const std::vector<std::string> names = published_names();
  const std::string near = nearest(lower_case(name), names);
  throw UserError({"model.published", cat('"', excerpt(name), '"'), "one of " + join(names, ", "),
                   near.empty() ? std::string() : cat("did you mean ", near, '?')});
}

std::optional<PublishedArchitecture> ModelRegistry::published_as(const std::filesystem::path& path) const {
  std::string text = lower_case(path.generic_string());
  std::replace(text.begin(), text.end(), '_', '-');
  std::optional<PublishedArchitecture> out;
  for (PublishedArchitecture& model : all_published()) {
    if (text.find(model.name) == std::string::npos || (out && out->name.size() >= model.name.size())) continue;
    out = std::move(model);
  }
  return out;
}

bool ModelRegistry::has_architecture(const std::filesystem::path& path) const {
  return std::any_of(families_.begin(), families_.end(),
                     [&](const auto& family) { return family->has_architecture(path); });
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
