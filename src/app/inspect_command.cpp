#include "app/command.h"
#include "core/json.h"
#include "core/safetensors.h"
#include "core/strings.h"
#include "data/hdf5_file.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;

json inspect_safetensors(const std::filesystem::path& path) {
  const safetensors::Reader reader(path);
  json tensors = json::array();
  std::int64_t bytes = 0;
  for (const auto& info : reader.tensors()) {
    tensors.push_back({{"name", info.name}, {"dtype", safetensors::name_of(info.dtype)}, {"shape", info.shape}});
    bytes += static_cast<std::int64_t>(info.end - info.begin);
  }
  return {{"type", "safetensors"}, {"tensors", tensors}, {"metadata", reader.metadata()}, {"bytes", bytes}};
}

json inspect_hdf5(const std::filesystem::path& path) {
  const data::Hdf5Reader reader(path);
  json datasets = json::array();
  for (const std::string& name : reader.names()) {
    const at::Tensor tensor = reader.read(name);
    datasets.push_back(
        {{"name", name}, {"dtype", at::toString(tensor.scalar_type())}, {"shape", tensor.sizes().vec()}});
  }
  return {{"type", "hdf5"}, {"datasets", datasets}, {"checksums", "verified"}};
}

json inspect_json(const std::filesystem::path& path) {
  return read_json(path);
}

json inspect_path(const std::filesystem::path& path);

json inspect_folder(const std::filesystem::path& path) {
  json out = {{"type", "folder"}};
  for (const char* name : {"stage.json", "identity.json", "manifest.json", "config.json", "hybrid.json"}) {
    if (std::filesystem::exists(path / name)) out[name] = inspect_json(path / name);
  }
  json files = json::array();
  for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path().filename().string());
  std::sort(files.begin(), files.end());
  out["files"] = files;
  return out;
}

json inspect_path(const std::filesystem::path& path) {
  require(std::filesystem::exists(path),
          [&] { return path.string() + ": found no such file or folder, expected one; check the path"; });
  if (std::filesystem::is_directory(path)) return inspect_folder(path);
  const std::string extension = path.extension().string();
  if (extension == ".safetensors") return inspect_safetensors(path);
  if (extension == ".h5") return inspect_hdf5(path);
  if (extension == ".json") return inspect_json(path);
  throw UserError(
      {path.string(), "a file with the extension '" + extension + "'", "a folder, .safetensors, .h5 or .json", ""});
}

}  // namespace

Command inspect_command() {
  Command command;
  command.name = "inspect";
  command.summary = "say what a file or folder of ours holds, checking it on the way";
  command.example = "rehyat inspect runs/demo/distill-1a2b3c4d/phi-00000.safetensors";
  command.takes_config = false;
  const auto path = std::make_shared<std::string>();
  command.declare = [path](CLI::App& app) { app.add_option("path", *path, "file or folder")->required(); };
  command.run = [path](Context& context) {
    const json result = inspect_path(*path);
    context.result(result, result.dump(2));
  };
  return command;
}

}  // namespace rehyat::app
