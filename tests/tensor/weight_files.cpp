#include "tensor/weight_files.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/strings.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat {
namespace {

using testing::expect_error;

class WeightFiles : public ::testing::Test {
 protected:
  void single(const std::string& name, double value) const {
    write_tensors(folder_ / name, {{"a", at::full({3}, value)}, {"b", at::full({2}, value)}});
  }
  /// Two shards behind an index.
  void shards(const std::string& stem, double value, const std::string& index_end = ".json") const {
    std::string map;
    for (const char* name : {"a", "b"}) {
      const std::string file = cat(stem, '-', name, ".safetensors");
      write_tensors(folder_ / file, {{name, at::full({name[0] == 'a' ? 3 : 2}, value)}});
      map += cat(map.empty() ? "" : ",", '"', name, "\":\"", file, '"');
    }
    write_file_atomic(folder_ / cat(stem, ".safetensors.index", index_end), cat("{\"weight_map\":{", map, "}}"));
  }
  double read(const WeightNames& names) const {
    const auto source = open_weights(folder_.path(), names);
    EXPECT_EQ(source->names(), (std::vector<std::string>{"a", "b"}));
    return source->read("a")[0].item<double>();
  }
  void refused(const WeightNames& names, std::vector<std::string> parts) const {
    parts.push_back(folder_.path().string());
    expect_error<UserError>([&] { open_weights(folder_.path(), names); }, parts);
  }

  const testing::TempFolder folder_;
};

TEST_F(WeightFiles, TheIndexCountsAndAnOldSingleFileBesideItDoesNot) {
  single("diffusion_pytorch_model.safetensors", 0);
  EXPECT_EQ(read(kDiffusersWeights), 0);
  shards("diffusion_pytorch_model", 7);
  EXPECT_EQ(read(kDiffusersWeights), 7);
  EXPECT_EQ(weight_files(folder_.path(), kDiffusersWeights).size(), 2U);
}

TEST_F(WeightFiles, WhereTheLibraryLooksForTheSingleFileFirstBothAreRefused) {
  single("model.safetensors", 0);
  EXPECT_EQ(read(kTransformersWeights), 0);
  shards("model", 7);
  refused(kTransformersWeights,
          {"model.safetensors.index.json and model.safetensors", "one of them", "move those that are not meant"});
  std::filesystem::remove(folder_ / "model.safetensors");
  EXPECT_EQ(read(kTransformersWeights), 7);
}

TEST_F(WeightFiles, AVariantIsReadWhereItIsTheOnlyOne) {
  single("diffusion_pytorch_model.fp16.safetensors", 16);
  EXPECT_EQ(read(kDiffusersWeights), 16);
  single("diffusion_pytorch_model.bf16.safetensors", 17);
  refused(kDiffusersWeights, {"diffusion_pytorch_model.fp16.safetensors and diffusion_pytorch_model.bf16.safetensors"});
  single("diffusion_pytorch_model.safetensors", 32);
  EXPECT_EQ(read(kDiffusersWeights), 32);
}

TEST_F(WeightFiles, TheIndexOfAVariantIsRead) {
  shards("model", 5, ".fp16.json");
  EXPECT_EQ(read(kTransformersWeights), 5);
}

TEST_F(WeightFiles, OtherContainersAndNamesAreNotTakenForThem) {
  for (const char* other : {"diffusion_pytorch_model.bin", "model.safetensors", "pytorch_model.bin"})
    write_file_atomic(folder_ / other, "x");
  refused(kDiffusersWeights, {"found neither diffusion_pytorch_model.safetensors", "found only",
                              "diffusion_pytorch_model.bin", "model.safetensors", "saved as safetensors"});
  single("diffusion_pytorch_model.safetensors", 3);
  EXPECT_EQ(read(kDiffusersWeights), 3);
}

TEST_F(WeightFiles, AShardThatIsMissingIsNamed) {
  shards("diffusion_pytorch_model", 7);
  single("diffusion_pytorch_model.safetensors", 0);
  std::filesystem::remove(folder_ / "diffusion_pytorch_model-b.safetensors");
  refused(kDiffusersWeights, {"diffusion_pytorch_model-b.safetensors: found no such file",
                              "diffusion_pytorch_model.safetensors.index.json says", "remove the index"});
}

/// Found by tests/mutation: the system's own exception for a name that is too long.
TEST_F(WeightFiles, AShardWithANameThatNoFileCanHaveIsMissing) {
  write_file_atomic(folder_ / "model.safetensors.index.json",
                    cat("{\"weight_map\":{\"a\":\"", std::string(300, 'x'), ".safetensors\"}}"));
  refused(kTransformersWeights, {"xxx.safetensors: found no such file", "model.safetensors.index.json says"});
}

}  // namespace
}  // namespace rehyat
