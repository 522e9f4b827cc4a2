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
  if (attention == "rehyat") {
    models::BlockAttention converted_to{.spec = {}, .phi = {}};
    converted_to.spec.kind = ops::AttentionKind::rehyat;
    converted_to.spec.tc = tc.value_or(converted_to.spec.tc);
    converted_to.spec.to = to.value_or(converted_to.spec.to);
    out.attention = converted_to;
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
