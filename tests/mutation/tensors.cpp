#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/fixtures.h"
#include "core/temp_folder.h"
#include "diffusion/scheduler_config.h"
#include "models/model_registry.h"
#include "models/umt5/text_encoder.h"
#include "models/wan/pipeline_files.h"
#include "models/wan/vae_weights.h"
#include "models/wan/weights.h"
#include "mutation/crafted.h"
#include "mutation/runner.h"
#include "mutation/seeds.h"
#include "tensor/crafted_pth.h"
#include "tensor/hdf5_file.h"
#include "tensor/pth/pickle_source.h"
#include "tensor/tensor_source.h"
#include "tensor/weight_files.h"

namespace rehyat::testing {
namespace {

namespace fs = std::filesystem;

void read_all(const TensorSource& source) {
  for (const std::string& name : source.names()) rehyat::hash_tensor(source.read(name).contiguous());
}

TEST(Mutation, shards) {
  ReaderCase reader;
  reader.name = "shards";
  FileTree shards;
  const TempFolder folder;
  for (const char* name : {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}) {
    const std::string first = name[10] == '1' ? "a" : "c", second = name[10] == '1' ? "b" : "d";
    write_tensors(folder / name, {{first, at::arange(6, at::kFloat).view({2, 3})}, {second, at::ones({4}, at::kHalf)}});
  }
  write_file_atomic(folder / "model.safetensors.index.json", R"({"metadata": {"total_size": 64}, "weight_map": {
    "a": "model-00001-of-00002.safetensors", "b": "model-00001-of-00002.safetensors",
    "c": "model-00002-of-00002.safetensors", "d": "model-00002-of-00002.safetensors"}})");
  reader.seeds = {read_tree(folder.path())};
  reader.words = {"weight_map", "../", "model-00002-of-00002.safetensors", "\"dtype\"", "\"BF16\""};
  reader.crafted = {
      [](FileTree& tree, Mutator& m) { change_json_file(tree, "model.safetensors.index.json", m); },
      [](FileTree& tree, Mutator& m) { change_safetensors_header(tree, "model-00001-of-00002.safetensors", m); }};
  reader.read = [](const fs::path& at) { read_all(*open_weights(at, kTransformersWeights)); };
  expect_no_faults(reader);
}

TEST(Mutation, pth) {
  ReaderCase reader;
  reader.name = "pth";
  for (const char* name : {"plain.pth", "nested.pth", "protocol4.pth", "parameters.pth"})
    reader.seeds.push_back({{"a.pth", read_file(fixtures() / "text" / "pth" / name)}});
  reader.words = {"ctorch._utils\n_rebuild_tensor_v2\n",
                  "cos\nsystem\n",
                  "\x80\x02}",
                  "Q",
                  "tR",
                  "h\x01",
                  "\x8a\x08",
                  "ctorch\nFloatStorage\n",
                  "(",
                  "]",
                  "}",
                  "\x94",
                  "\x95"};
  // The checksum of the changed program is right.
  reader.crafted = {[](FileTree& tree, Mutator& m) {
    const std::string tensor = pickled_tensor(6, 0, {2, 3}, {3, 1});
    const std::string program = m.bytes(pickled_dict(tensor), tensor);
    tree["a.pth"] = make_zip(pth_files(program, std::string(24, '\1')), m.chance(30));
  }};
  reader.read = [](const fs::path& folder) { read_all(*open_pth(folder / "a.pth")); };
  expect_no_faults(reader);
}

TEST(Mutation, hdf5) {
  ReaderCase reader;
  reader.name = "hdf5";
  const auto file = [](const std::function<void(Hdf5Writer&)>& fill) {
    const TempFolder folder;
    Hdf5Writer writer(folder / "a.h5");
    fill(writer);
    writer.commit();
    return read_tree(folder.path());
  };
  reader.seeds = {file([](Hdf5Writer& writer) {
                    writer.write("x", at::ones({3, 2}));
                    writer.attribute("about", "a text");
                  }),
                  file([](Hdf5Writer& writer) {
                    for (int i = 0; i < 12; ++i)
                      writer.write("group/" + std::to_string(i), at::full({3}, i, at::kFloat));
                    writer.write("scalar", at::scalar_tensor(3, at::kLong));
                    writer.write("empty", at::zeros({0, 4}, at::kHalf));
                    writer.attribute("about", std::string(70'000, 'x'));
                  })};
  reader.words = {"TREE", "HEAP", "SNOD", "OHDR", "GCOL", "rehyat_format", "checksum"};
  reader.read = [](const fs::path& at) {
    const Hdf5Reader reading(at / "a.h5");
    for (const std::string& name : reading.names()) reading.read(name);
    reading.attribute("about");
  };
  expect_no_faults(reader);
}

/// A folder with a transformer of which some blocks are converted.
TEST(Mutation, transformer) {
  ReaderCase reader;
  reader.name = "transformer";
  reader.inputs = 400;
  reader.seeds = {small_transformer()};
  reader.words = {"\"num_layers\": ", "\"attention_head_dim\"", "\"patch_size\": [", "\"kind\"", "\"blocks\"", "null"};
  reader.crafted = {
      [](FileTree& tree, Mutator& m) { change_json_file(tree, m.chance(50) ? "config.json" : "hybrid.json", m); },
      [](FileTree& tree, Mutator& m) {
        change_safetensors_header(tree, m.chance(50) ? "diffusion_pytorch_model.safetensors" : "hybrid.safetensors", m);
      }};
  reader.read = [](const fs::path& at) {
    models::model_fingerprint(at);
    models::load_model(at);
  };
  expect_no_faults(reader);
}

/// What stands around the weights in a published model's folder. The VAE's file is tried by itself.
TEST(Mutation, pipeline) {
  ReaderCase reader;
  reader.name = "pipeline";
  reader.inputs = 250;
  reader.seeds = {read_tree(fixtures() / "pipeline" / "model")};
  reader.spared = {"tokenizer/tokenizer.json", "vae/diffusion"};
  reader.words = {"\"_class_name\": ", "null", "[", "\"d_model\"", "\"dim_mult\""};
  reader.crafted = {[](FileTree& tree, Mutator& m) {
    const std::vector<std::string> names = {"model_index.json", "text_encoder/config.json", "vae/config.json",
                                            "transformer/config.json", "scheduler/scheduler_config.json"};
    change_json_file(tree, names[m.below(names.size())], m);
  }};
  reader.read = [](const fs::path& at) {
    const models::ModelFiles files = models::known_models().find(at);
    models::known_models().load(files.transformer);
    models::read_vae_config(files.vae);
    models::Umt5TextEncoder(models::find_umt5(files.text)).encode({"a cat"});
    if (!files.scheduler.empty()) diffusion::read_scheduler_config(files.scheduler);
  };
  expect_no_faults(reader);
}

TEST(Mutation, vae) {
  ReaderCase reader;
  reader.name = "vae";
  reader.inputs = 250;
  reader.seeds = {read_tree(fixtures() / "vae" / "small"), read_tree(fixtures() / "vae" / "other")};
  reader.crafted = {[](FileTree& tree, Mutator& m) {
    if (m.chance(50))
      change_json_file(tree, "config.json", m);
    else
      change_safetensors_header(tree, "diffusion_pytorch_model.safetensors", m);
  }};
  reader.read = [](const fs::path& at) { models::load_vae(at); };
  expect_no_faults(reader);
}

}  // namespace
}  // namespace rehyat::testing
