#include "tensor/weight_files.h"

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"
#include "core/strings.h"
#include "files/json.h"

namespace rehyat {
namespace {

/// The file of each tensor.
std::map<std::string, std::string> read_weight_map(const std::filesystem::path& path) {
  const nlohmann::ordered_json index = read_json_object(path);
  require(index.contains("weight_map") && index["weight_map"].is_object(),
          [&] { return path.string() + ": found no weight_map, expected one"; });
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    require(file.is_string() && !file.get<std::string>().empty() &&
                std::filesystem::path(file.get<std::string>()).filename() == file.get<std::string>(),
            [&] {
              return cat(path.string(), ": tensor '", tensor, "': found the file ", file.dump(),
                         ", expected a name in the same folder");
            });
    files[tensor] = file.get<std::string>();
  }
  require(!files.empty(), [&] { return path.string() + ": found an empty weight_map, expected tensors and files"; });
  return files;
}

std::filesystem::path find_weights(const std::filesystem::path& folder, const WeightNames& names) {
  const SourceNames sources = weight_sources(names);
  const auto found = find_source(folder, sources);
  const std::string single = names.stem + ".safetensors", unread = found ? "" : only_unread(folder, sources);
  require(found.has_value(), [&] {
    return cat(folder.string(), ": found neither ", single, " nor ", single, ".index.json, expected one of them",
               unread, unread.empty() ? "" : ", of which the tensors have to be saved as safetensors");
  });
  return *found;
}

bool is_index(const std::filesystem::path& path) {
  return path.extension() == ".json";
}

std::unique_ptr<TensorSource> open_shards(const std::filesystem::path& index) {
  const std::filesystem::path folder = index.parent_path();
  const std::string index_name = index.filename().string();
  const std::map<std::string, std::string> wanted = read_weight_map(index);
  std::set<std::filesystem::path> files;
  for (const auto& item : wanted) files.insert(folder / item.second);
  for (const auto& file : files) {
    std::error_code unknown;  // such as a name that is too long: there is no such file either
    require(std::filesystem::exists(file, unknown), [&] {
      return cat(file.string(), ": found no such file, expected it as ", index_name,
                 " says; complete the download, or remove the index if another file is meant");
    });
  }
  auto source = open_safetensors({files.begin(), files.end()}, folder.string());
  for (const auto& [tensor, file] : wanted) {
    require(source->contains(tensor), [&] {
      return cat((folder / file).string(), ": found no tensor '", tensor, "', expected it as ", index_name, " says");
    });
    const std::string found = std::filesystem::path(source->where(tensor)).filename();
    require(found == file,
            [&] { return cat(index.string(), ": tensor '", tensor, "': found it in ", found, ", expected ", file); });
  }
  for (const std::string& tensor : source->names()) {
    require(wanted.contains(tensor), [&] {
      return cat(source->where(tensor), ": found the tensor '", tensor, "', expected only those of ", index_name);
    });
  }
  return source;
}

}  // namespace

SourceNames weight_sources(const WeightNames& names) {
  const std::string single = names.stem + ".safetensors", index = single + ".index.json";
  SourceNames out;
  out.what = "the weights";
  if (names.index_first)
    out.ranks = {{index}, {single}};
  else
    out.ranks = {{index, single}};
  std::vector<std::string> variants;
  for (const char* variant : {"fp16", "bf16", "fp32", "non_ema"}) {
    variants.push_back(cat(names.stem, '.', variant, ".safetensors"));
    variants.push_back(cat(single, ".index.", variant, ".json"));
  }
  out.ranks.push_back(variants);
  out.rule = "as diffusers does";
  out.choose = "move those that are not meant to another folder";
  for (const char* stem : {"diffusion_pytorch_model", "model", "pytorch_model"}) {
    for (const char* end :
         {".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pth", ".pt", ".ckpt"})
      if (stem != names.stem || !std::string_view(end).starts_with(".safetensors"))
        out.unread.push_back(stem + std::string(end));
  }
  return out;
}

std::unique_ptr<TensorSource> open_weights(const std::filesystem::path& folder, const WeightNames& names) {
  const std::filesystem::path found = find_weights(folder, names);
  return is_index(found) ? open_shards(found) : open_safetensors({found}, folder.string());
}

std::vector<std::filesystem::path> weight_files(const std::filesystem::path& folder, const WeightNames& names) {
  const std::filesystem::path found = find_weights(folder, names);
  if (!is_index(found)) return {found};
  std::set<std::filesystem::path> files;
  for (const auto& item : read_weight_map(found)) files.insert(folder / item.second);
  return {files.begin(), files.end()};
}

}  // namespace rehyat
