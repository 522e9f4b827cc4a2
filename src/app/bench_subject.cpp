#include <utility>

#include "app/bench_options.h"
#include "app/device_option.h"
#include "config/config.h"

namespace rehyat::app {
namespace {

constexpr const char* kFamily = "wan";

at::ScalarType precision_of(const std::string& name, at::Device device) {
  if (name == "auto") return device.is_cuda() ? at::kBFloat16 : at::kFloat;
  return name == "bf16" ? at::kBFloat16 : name == "f16" ? at::kHalf : at::kFloat;
}

models::BlockAttention converted_to(const BenchOptions& options) {
  models::BlockAttention out{.spec = {}, .phi = {}};
  for (const ops::AttentionKind* kind : ops::built_in_kinds()) {
    if (kind->name() == options.attention) out.spec.kind = kind;
  }
  out.spec.tc = options.tc.value_or(out.spec.tc);
  out.spec.to = options.to.value_or(out.spec.to);
  out.spec.rate = options.rate.value_or(out.spec.rate);
  if (options.normalizer == "row_max") out.spec.normalizer = ops::Normalizer::row_max;
  if (options.normalizer == "lse") out.spec.normalizer = ops::Normalizer::lse;
  out.validate();
  return out;
}

/// The values of --architecture, as a config's model.architecture would have them.
struct Sizes {
  config::Section architecture;
  void fields(config::Fields& f) { f.add("architecture", architecture, "sizes of the model"); }
};

}  // namespace

evaluate::BenchSubject BenchOptions::subject(const models::ModelRegistry& families) const {
  evaluate::BenchSubject out;
  out.model = model;
  out.layers = layers;
  out.family = !model.empty() ? families.of_files(model).name() : family.empty() ? kFamily : family;
  const models::ModelFamily& named = families.named(out.family);
  if (!architecture.empty()) {
    std::vector<std::string> overrides;
    for (const std::string& item : architecture) overrides.push_back("architecture." + item);
    const auto sizes = config::load<Sizes>(config::Document::from_text("", "--architecture", overrides));
    out.settings = named.settings(sizes.architecture);
  }
  if (!attention.empty() || tc || to || !normalizer.empty()) {
    out.attention = converted_to(*this);
    out.converted = converted;
  }
  out.frames = frames, out.height = height, out.width = width, out.batch = batch;
  std::string encoders = out.family;
  if (!published.empty()) {
    const models::PublishedArchitecture sizes = families.published(published);
    out.family = sizes.architecture.family;
    out.settings = sizes.settings;
    encoders = sizes.encoders;
  }
  out.geometry = families.encoders().named(encoders).published_geometry();
  out.device = device_option(device);
  out.compute = precision_of(precision, out.device);
  return out;
}

}  // namespace rehyat::app
