#include "models/wan/weights.h"

#include <torch/torch.h>

#include <set>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/strings.h"

namespace rehyat::models {
namespace {

using json = nlohmann::ordered_json;
constexpr const char* kConfig = "config.json";
constexpr const char* kWeights = "diffusion_pytorch_model.safetensors";
constexpr const char* kIndex = "diffusion_pytorch_model.safetensors.index.json";
constexpr const char* kHybrid = "hybrid.json";
constexpr const char* kHybridWeights = "hybrid.safetensors";

NamedTensors as_type(const NamedTensors& tensors, at::ScalarType type) {
  NamedTensors out;
  for (const auto& [name, tensor] : tensors) out.emplace_back(name, tensor.detach().to(type));
  return out;
}

/// The files that hold the weights: one, or those of the index.
std::vector<std::filesystem::path> weight_files(const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder / kWeights)) return {folder / kWeights};
  require(std::filesystem::exists(folder / kIndex), [&] {
    return cat(folder.string(), ": found neither ", kWeights, " nor ", kIndex, ", expected one of them");
  });
  const json index = read_json_object(folder / kIndex);
  require(index.contains("weight_map") && index["weight_map"].is_object(),
          [&] { return (folder / kIndex).string() + ": found no weight_map, expected one"; });
  std::set<std::string> names;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    require(file.is_string() && std::filesystem::path(file.get<std::string>()).filename() == file.get<std::string>(),
            [&] {
              return cat((folder / kIndex).string(), ": tensor '", tensor, "': found the file ", file.dump(),
                         ", expected a name in the same folder");
            });
    names.insert(file.get<std::string>());
  }
  std::vector<std::filesystem::path> files;
  for (const std::string& name : names) files.push_back(folder / name);
  return files;
}

void assign_one(at::Tensor target, const safetensors::Reader& reader, const safetensors::TensorInfo& info) {
  const at::Tensor source = read_tensor(reader, info.name, target.sizes());
  require(source.is_floating_point(), [&] {
    return cat(reader.path().string(), ": tensor '", info.name, "': found type ", safetensors::name_of(info.dtype),
               ", expected a floating type");
  });
  require_finite(source, cat(reader.path().string(), ": tensor '", info.name, "'"));
  target.copy_(source);
}

/// Every target must come from exactly one of the readers, and nothing else may be there.
void assign_all(const NamedTensors& targets, const std::vector<safetensors::Reader>& readers,
                const std::string& where) {
  const torch::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> missing(targets.begin(), targets.end());
  std::vector<std::string> names;
  for (const auto& item : targets) names.push_back(item.first);
  std::set<std::string> seen;
  for (const auto& reader : readers) {
    for (const auto& info : reader.tensors()) {
      require(seen.insert(info.name).second, [&] {
        return cat(reader.path().string(), ": found the tensor '", info.name,
                   "' of another shard again, expected it once");
      });
      const auto target = missing.find(info.name);
      if (target == missing.end()) {
        const std::string near = nearest(info.name, names);
        throw UserError({reader.path().string(), "the tensor '" + info.name + "'", "only tensors of the model",
                         near.empty() ? "" : "the nearest name is '" + near + "'"});
      }
      assign_one(target->second, reader, info);
      missing.erase(target);
    }
  }
  require(missing.empty(), [&] {
    return cat(where, ": found no tensor '", missing.begin()->first, "', expected it (", missing.size(), " of ",
               targets.size(), " are missing)");
  });
}

}  // namespace

void assign(const NamedTensors& targets, const safetensors::Reader& reader) {
  std::vector<safetensors::Reader> one;
  one.emplace_back(reader.path());
  assign_all(targets, one, reader.path().string());
}

void save_model(const std::filesystem::path& folder, const WanTransformer& model, at::ScalarType type) {
  using Which = WanTransformerImpl::Which;
  make_folder(folder);
  // config.json is the marker of a whole folder: gone while the rest is replaced, written last.
  std::filesystem::remove(folder / kConfig);
  write_tensors(folder / kWeights, as_type(model->tensors(Which::base), type), {{"format", "pt"}});
  const BlockMap blocks = block_map_of(model);
  if (blocks.empty()) {
    // What a hybrid model left in this folder would convert the blocks again.
    std::filesystem::remove(folder / kHybrid);
    std::filesystem::remove(folder / kHybridWeights);
  } else {
    // Feature maps stay in float32: they are small, and their powers need the range.
    write_tensors(folder / kHybridWeights, as_type(model->tensors(Which::phi), at::kFloat), {{"format", "pt"}});
    write_file_atomic(folder / kHybrid, json({{"format", 1}, {"blocks", to_json(blocks)}}).dump(2) + "\n");
  }
  write_file_atomic(folder / kConfig, to_diffusers_json(model->config()).dump(2) + "\n");
}

WanTransformer load_model(const std::filesystem::path& folder, at::Device device) {
  using Which = WanTransformerImpl::Which;
  require(std::filesystem::is_directory(folder), [&] {
    return folder.string() + ": found no such folder, expected one with config.json and weights; check the path";
  });
  WanTransformer model(from_diffusers_json(read_json_object(folder / kConfig), (folder / kConfig).string()));
  std::vector<safetensors::Reader> readers;
  for (const auto& file : weight_files(folder)) readers.emplace_back(file);
  assign_all(model->tensors(Which::base), readers, folder.string());
  if (std::filesystem::exists(folder / kHybrid)) {
    const json hybrid = read_json_object(folder / kHybrid);
    require(hybrid.contains("format") && hybrid["format"] == 1,
            [&] { return (folder / kHybrid).string() + ": found another format, expected 1"; });
    for (const auto& [block, attention] :
         block_map_from_json(hybrid.value("blocks", json()), (folder / kHybrid).string())) {
      require(block >= 0 && block < model->block_count(), [&] {
        return cat((folder / kHybrid).string(), ": found block ", block, ", expected 0 to ", model->block_count() - 1);
      });
      model->attention(block)->convert(attention, 0, block, 2);
    }
    readers.clear();
    readers.emplace_back(folder / kHybridWeights);
    assign_all(model->tensors(Which::phi), readers, folder.string());
  }
  model->to(device);
  return model;
}

std::string model_fingerprint(const std::filesystem::path& folder) {
  if (!std::filesystem::exists(folder / kConfig)) return "";
  Hasher hasher;
  hasher.update(read_file(folder / kConfig, 1 << 20));
  for (const auto& file : weight_files(folder)) hasher.update(hash_file(file));
  if (std::filesystem::exists(folder / kHybrid))
    hasher.update(read_file(folder / kHybrid, 16 << 20)).update(hash_file(folder / kHybridWeights));
  return hasher.digest();
}

}  // namespace rehyat::models
