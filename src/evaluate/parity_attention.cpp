#include "evaluate/parity_attention.h"

#include <algorithm>
#include <charconv>

#include "core/log.h"
#include "core/strings.h"
#include "evaluate/parity_errors.h"
#include "ops/hybrid_attention.h"
#include "tensor/io.h"

namespace rehyat::evaluate {
namespace {

using json = nlohmann::ordered_json;

const std::vector<std::string> kInputs = {"q", "k", "v", "phi_q", "phi_k"};

/// The fixture's settings; metadata values are texts.
class Settings {
 public:
  explicit Settings(const safetensors::Reader& reader) : path_(reader.path().string()), values_(reader.metadata()) {}

  std::int64_t number(const std::string& key, std::int64_t fallback) {
    if (!has(key)) return fallback;
    return parsed(key, values_.at(key));
  }
  std::int64_t number(const std::string& key, const char* meaning) const { return parsed(key, required(key, meaning)); }
  std::string text(const std::string& key, const std::string& fallback) {
    return has(key) ? values_.at(key) : fallback;
  }
  bool flag(const std::string& key, bool fallback) {
    std::string value = text(key, fallback ? "true" : "false");
    for (char& c : value) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    require(value == "true" || value == "false" || value == "1" || value == "0",
            [&] { return cat(path_, ": metadata '", key, "': found \"", value, "\", expected true or false"); });
    return value == "true" || value == "1";
  }
  const std::string& required(const std::string& key, const char* meaning) const {
    const auto found = values_.find(key);
    require(found != values_.end(), [&] {
      std::vector<std::string> keys;
      for (const auto& item : values_) keys.push_back(item.first);
      const std::string near = nearest(key, keys);
      return cat(path_, ": found no metadata '", key, "', expected ", meaning,
                 near.empty() ? std::string() : cat("; did you mean it by '", near, "'?"));
    });
    return found->second;
  }
  const std::string& path() const { return path_; }
  const json& assumed() const { return assumed_; }

 private:
  bool has(const std::string& key) {
    if (values_.count(key) > 0) return true;
    assumed_.push_back(key);
    return false;
  }
  std::int64_t parsed(const std::string& key, const std::string& text) const {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    require(error == std::errc() && end == text.data() + text.size(),
            [&] { return cat(path_, ": metadata '", key, "': found \"", text, "\", expected a whole number"); });
    return value;
  }

  std::string path_;
  safetensors::Metadata values_;
  json assumed_ = json::array();
};

ops::AttentionSpec spec_of(Settings& settings) {
  // Only what the kind uses is read: a fixture may say anything of the rest.
  std::vector<std::string> names;
  for (const ops::AttentionKind* each : ops::built_in_kinds()) names.push_back(each->name());
  const std::string kind = settings.required("kind", join(names, ", ").c_str());
  json values = {{"kind", kind}};
  const auto of_kind = config::from_json<ops::AttentionSpec>(values, settings.path());
  for (const ops::Setting& setting : of_kind.kind->settings()) {
    if (setting.flag != nullptr) {
      values[setting.name] = settings.flag(setting.name, of_kind.value(setting) != 0);
    } else {
      values[setting.name] = settings.number(setting.name, of_kind.value(setting));
    }
  }
  if (of_kind.blends()) values["normalizer"] = settings.text("normalizer", ops::to_string(of_kind.normalizer));
  return config::from_json<ops::AttentionSpec>(values, settings.path());
}

std::string type_and_shape(const safetensors::TensorInfo& info) {
  return cat(safetensors::name_of(info.dtype), ' ', shape_string(info.shape));
}

/// One tensor, which must have this type and shape; the last size is free where it is -1.
at::Tensor read_like(const safetensors::Reader& reader, const std::string& name, safetensors::DType type,
                     std::vector<std::int64_t> shape, const char* like) {
  const safetensors::TensorInfo& info = reader.at(name);
  const bool fits = info.dtype == type && info.shape.size() == shape.size() &&
                    std::equal(shape.begin(), shape.end() - 1, info.shape.begin()) &&
                    (shape.back() == -1 ? info.shape.back() >= 1 : info.shape.back() == shape.back());
  require(fits, [&] {
    std::vector<std::string> sizes;
    for (const std::int64_t size : shape) sizes.push_back(size == -1 ? "F" : cat(size));
    return cat(reader.path().string(), ": tensor '", name, "': found ", type_and_shape(info), ", expected ",
               safetensors::name_of(type), " [", join(sizes, ", "), "] as of '", like, "'");
  });
  return read_tensor(reader, info).clone();
}

struct AttentionCase {
  std::vector<at::Tensor> inputs;  ///< q, k, v, phi_q, phi_k; undefined where softmax has none
  at::Tensor y, dy;
  std::vector<std::pair<std::size_t, at::Tensor>> gradients;  ///< number of the input, expected
};

AttentionCase read_case(const safetensors::Reader& reader, const ops::AttentionSpec& spec, bool recurrent,
                        at::Device device) {
  const safetensors::TensorInfo& q = reader.at("q");
  const at::ScalarType type = to_scalar_type(q.dtype);
  require(q.shape.size() == 4 && at::isFloatingType(type) &&
              std::all_of(q.shape.begin(), q.shape.end(), [](std::int64_t size) { return size >= 1; }),
          [&] {
            return cat(reader.path().string(), ": tensor 'q': found ", type_and_shape(q),
                       ", expected a floating tensor [B, A, N, D]");
          });
  AttentionCase out;
  for (const std::string& name : kInputs) {
    const bool phi = name.rfind("phi", 0) == 0;
    if (phi && !spec.kind->has_linear() && reader.find(name) == nullptr) {
      out.inputs.emplace_back();
      continue;
    }
    std::vector<std::int64_t> shape = q.shape;
    if (name == "phi_q") shape.back() = -1;
    if (name == "phi_k" && out.inputs[3].defined()) shape.back() = out.inputs[3].size(3);
    out.inputs.push_back(read_like(reader, name, q.dtype, shape, name == "phi_k" ? "phi_q" : "q").to(device));
  }
  out.y = read_like(reader, "y", q.dtype, q.shape, "q").to(device);
  if (reader.find("dy") != nullptr) out.dy = read_like(reader, "dy", q.dtype, q.shape, "y").to(device);
  for (std::size_t i = 0; i < kInputs.size(); ++i) {
    const std::string name = "d" + kInputs[i];
    if (reader.find(name) == nullptr || !out.inputs[i].defined()) continue;
    require(recurrent || out.dy.defined(), [&] {
      return cat(reader.path().string(), ": found the gradient '", name,
                 "' but no tensor 'dy', expected dy beside gradients; add it, or use --form recurrent");
    });
    out.gradients.emplace_back(
        i, read_like(reader, name, q.dtype, out.inputs[i].sizes().vec(), kInputs[i].c_str()).to(device));
  }
  if (recurrent) out.gradients.clear();
  if (out.gradients.empty()) out.dy = at::Tensor();
  for (const auto& item : out.gradients) out.inputs[item.first].requires_grad_(true);
  return out;
}

/// Every tensor of the file that took no part, with the reason.
json not_compared(const safetensors::Reader& reader, bool recurrent, const json& errors) {
  json out = json::object();
  std::vector<std::string> known = {"y", "dy"};
  for (const std::string& name : kInputs) known.insert(known.end(), {name, "d" + name});
  for (const auto& info : reader.tensors()) {
    const bool is_known = std::find(known.begin(), known.end(), info.name) != known.end();
    const bool is_gradient = is_known && info.name[0] == 'd';
    if (!is_known) {
      std::vector<std::string> absent;
      std::copy_if(known.begin(), known.end(), std::back_inserter(absent),
                   [&](const std::string& name) { return reader.find(name) == nullptr; });
      const std::string near = nearest(info.name, absent);
      out[info.name] = near.empty() ? "no tensor of this component" : cat("unknown; did you mean '", near, "'?");
    } else if (is_gradient && recurrent) {
      out[info.name] = "the recurrent form has no gradients";
    } else if (is_gradient && info.name != "dy" && !errors.contains(info.name)) {
      out[info.name] = "the kind does not use its input";
    } else if (info.name == "dy" && errors.size() == 1) {
      out[info.name] = "the file holds no gradient";
    }
  }
  for (const auto& [name, reason] : out.items())
    log::warn(reader.path().string(), ": tensor '", name, "' is not compared: ", reason.get<std::string>());
  return out;
}

}  // namespace

json attention_parity(const ParityRequest& request) {
  const safetensors::Reader reader(request.fixture);
  Settings settings(reader);
  const ops::AttentionSpec spec = spec_of(settings);
  const std::int64_t slices = settings.number("slices", "the number of latent slices");
  const bool recurrent = request.form == "recurrent";
  const AttentionCase given = read_case(reader, spec, recurrent, request.device);
  const std::int64_t tokens = given.inputs[0].size(2);
  require(slices >= 1 && tokens % slices == 0, [&] {
    return cat(settings.path(), ": metadata 'slices': found ", slices, ", expected a divisor of the ", tokens,
               " tokens of 'q'");
  });
  const auto &q = given.inputs[0], &k = given.inputs[1], &v = given.inputs[2], &phi_q = given.inputs[3],
             &phi_k = given.inputs[4];
  const at::Tensor y = request.form == "reference"
                           ? ops::hybrid_attention_reference(q, k, v, phi_q, phi_k, slices, spec)
                       : recurrent ? ops::hybrid_attention_by_chunks(q, k, v, phi_q, phi_k, slices, spec)
                                   : ops::hybrid_attention(q, k, v, phi_q, phi_k, slices, spec);
  ParityErrors errors;
  errors.add(settings.path(), "y", y, given.y);
  if (!given.gradients.empty()) y.backward(given.dy);
  for (const auto& [input, expected] : given.gradients) {
    const at::Tensor& gradient = given.inputs[input].grad();
    errors.add(settings.path(), "d" + kInputs[input], gradient.defined() ? gradient : at::zeros_like(expected),
               expected);
  }
  json report = errors.report("attention");
  report["form"] = request.form;
  report["attention"] = ops::to_string(spec);
  report["dtype"] = at::toString(q.scalar_type());
  report["device"] = request.device.str();
  report["default_tolerance"] = default_tolerance(q.scalar_type());
  if (!settings.assumed().empty()) report["assumed"] = settings.assumed();
  report["not_compared"] = not_compared(reader, recurrent, report["errors"]);
  return report;
}

}  // namespace rehyat::evaluate
