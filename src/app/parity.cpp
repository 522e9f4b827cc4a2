#include "app/parity.h"

#include <charconv>

#include "core/error.h"
#include "core/strings.h"
#include "ops/hybrid_attention.h"
#include "tensor/io.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;

/// The fixture's settings; metadata values are texts.
class Settings {
 public:
  Settings(const safetensors::Reader& reader) : path_(reader.path().string()), values_(reader.metadata()) {}

  std::int64_t number(const std::string& key, std::int64_t fallback) const {
    const auto found = values_.find(key);
    if (found == values_.end()) return fallback;
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(found->second.data(), found->second.data() + found->second.size(), value);
    require(error == std::errc() && end == found->second.data() + found->second.size(), [&] {
      return cat(path_, ": metadata '", key, "': found \"", found->second, "\", expected a whole number");
    });
    return value;
  }
  std::string text(const std::string& key, const std::string& fallback) const {
    const auto found = values_.find(key);
    return found == values_.end() ? fallback : found->second;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  safetensors::Metadata values_;
};

ops::AttentionSpec spec_of(const Settings& settings) {
  // Only what the kind uses is read: a fixture may say anything of the rest.
  const std::string kind = settings.text("kind", "rehyat");
  json values = {{"kind", kind}};
  if (kind == "rehyat") {
    std::string causal = settings.text("causal", "true");
    for (char& c : causal) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    require(causal == "true" || causal == "false" || causal == "1" || causal == "0", [&] {
      return cat(settings.path(), ": metadata 'causal': found \"", causal, "\", expected true or false");
    });
    values["tc"] = settings.number("tc", 3);
    values["to"] = settings.number("to", 1);
    values["causal"] = causal == "true" || causal == "1";
  }
  if (kind == "uniform_hybrid") values["rate"] = settings.number("rate", 2);
  if (kind == "rehyat" || kind == "uniform_hybrid") values["normalizer"] = settings.text("normalizer", "joint");
  return config::from_json<ops::AttentionSpec>(values, settings.path());
}

double relative_error(const at::Tensor& found, const at::Tensor& expected) {
  if (expected.numel() == 0) return 0;
  const double largest = expected.abs().max().item<double>(),
               difference = (found.to(at::kDouble) - expected.to(at::kDouble)).abs().max().item<double>();
  // A NaN must not pass for a small number.
  if (!std::isfinite(difference)) return std::numeric_limits<double>::infinity();
  return largest > 0 ? difference / largest : difference;
}

}  // namespace

json attention_parity(const std::filesystem::path& fixture, const std::string& form) {
  const safetensors::Reader reader(fixture);
  const Settings settings(reader);
  const ops::AttentionSpec spec = spec_of(settings);
  const std::int64_t slices = settings.number("slices", 0);
  require(slices >= 1, [&] {
    return cat(settings.path(), ": metadata 'slices': found ", slices, ", expected the number of latent slices");
  });
  std::vector<at::Tensor> inputs;
  const std::vector<std::string> names = {"q", "k", "v", "phi_q", "phi_k"};
  const bool gradients = form != "recurrent" && reader.find("dy") != nullptr;
  for (const std::string& name : names) {
    if (name.rfind("phi", 0) == 0 && spec.kind == ops::AttentionKind::softmax && reader.find(name) == nullptr) {
      inputs.emplace_back();
      continue;
    }
    inputs.push_back(read_tensor(reader, reader.at(name)).clone());
    if (gradients) inputs.back().requires_grad_(true);
  }
  const auto run = [&] {
    const auto &q = inputs[0], &k = inputs[1], &v = inputs[2], &phi_q = inputs[3], &phi_k = inputs[4];
    if (form == "reference") return ops::hybrid_attention_reference(q, k, v, phi_q, phi_k, slices, spec);
    if (form == "recurrent") return ops::hybrid_attention_recurrent(q, k, v, phi_q, phi_k, slices, spec);
    return ops::hybrid_attention(q, k, v, phi_q, phi_k, slices, spec);
  };
  const at::Tensor y = run();
  json errors;
  double worst = relative_error(y.detach(), read_tensor(reader, reader.at("y")));
  errors["y"] = worst;
  if (gradients) {
    y.backward(read_tensor(reader, reader.at("dy")).clone());
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::string name = "d" + names[i];
      if (!inputs[i].defined() || reader.find(name) == nullptr) continue;
      const at::Tensor found = inputs[i].grad().defined() ? inputs[i].grad() : at::zeros_like(inputs[i]);
      errors[name] = relative_error(found, read_tensor(reader, reader.at(name)));
      worst = std::max(worst, errors[name].get<double>());
    }
  }
  return {{"component", "attention"},
          {"form", form},
          {"attention", ops::to_string(spec)},
          {"max_rel_error", worst},
          {"errors", errors}};
}

}  // namespace rehyat::app
