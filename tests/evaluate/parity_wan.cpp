#include <gtest/gtest.h>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/fixtures.h"
#include "core/temp_folder.h"
#include "evaluate/parity_scheduler.h"
#include "evaluate/parity_transformer.h"
#include "files/atomic_file.h"
#include "tensor/io.h"

namespace rehyat::evaluate {
namespace {

using testing::expect_error;
using testing::TempFolder;
using json = nlohmann::ordered_json;

std::vector<std::filesystem::path> files_of(const char* component) {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::directory_iterator(testing::fixtures() / component)) {
    if (entry.path().extension() == ".safetensors") out.push_back(entry.path());
  }
  return out;
}

/// A fixture with some of its tensors changed; the metadata too.
void rewrite(const std::filesystem::path& from, const std::filesystem::path& to,
             const std::function<void(std::map<std::string, at::Tensor>&, safetensors::Metadata&)>& change) {
  const safetensors::Reader reader(from);
  std::map<std::string, at::Tensor> tensors;
  for (const auto& info : reader.tensors()) tensors[info.name] = read_tensor(reader, info).clone();
  safetensors::Metadata metadata = reader.metadata();
  change(tensors, metadata);
  write_tensors(to, {tensors.begin(), tensors.end()}, metadata);
}

TEST(TransformerParity, EqualsDiffusersOnEveryFixture) {
  const auto files = files_of("transformer");
  ASSERT_GE(files.size(), 6U);
  for (const auto& file : files) {
    const json report = transformer_parity({.fixture = file, .weights = file.parent_path() / file.stem()});
    EXPECT_LE(report["max_rel_error"].get<double>(), 1e-5) << file << report.dump();
    RecordProperty(file.stem().string(), report["max_rel_error"].dump());
  }
}

TEST(TransformerParity, GradientsOfEveryParameterAreCompared) {
  const auto file = testing::fixtures() / "transformer" / "gradients.safetensors";
  const json errors =
      transformer_parity({.fixture = file, .weights = testing::fixtures() / "transformer" / "gradients"})["errors"];
  const safetensors::Reader weights(testing::fixtures() / "transformer" / "gradients" /
                                    "diffusion_pytorch_model.safetensors");
  for (const auto& info : weights.tensors()) EXPECT_TRUE(errors.contains("grad." + info.name)) << info.name;
  EXPECT_TRUE(errors.contains("grad.hidden_states") && errors.contains("grad.encoder_hidden_states"));
}

TEST(TransformerParity, AWrongReferenceIsSeen) {
  const TempFolder folder;
  const auto weights = testing::fixtures() / "transformer" / "gradients";
  const auto check = [&](const std::string& name) {
    rewrite(weights.string() + ".safetensors", folder / "x.safetensors", [&](auto& tensors, auto&) {
      at::Tensor flat = tensors.at(name).view(-1);
      flat[0] += 0.01 * flat.abs().max();
    });
    return transformer_parity({.fixture = folder / "x.safetensors", .weights = weights});
  };
  EXPECT_NEAR(check("sample")["max_rel_error"].get<double>(), 0.01, 2e-3);
  const json report = check("grad.blocks.1.norm2.bias");
  EXPECT_NEAR(report["errors"]["grad.blocks.1.norm2.bias"].get<double>(), 0.01, 2e-3);
  EXPECT_EQ(report["max_rel_error"], report["errors"]["grad.blocks.1.norm2.bias"]);
}

TEST(TransformerParity, WrongFixturesAreRefused) {
  const TempFolder folder;
  const auto weights = testing::fixtures() / "transformer" / "width16";
  const auto with = [&](const std::function<void(std::map<std::string, at::Tensor>&)>& change) {
    return [&, change] {
      rewrite(weights.string() + ".safetensors", folder / "x.safetensors",
              [&](auto& tensors, auto&) { change(tensors); });
      transformer_parity({.fixture = folder / "x.safetensors", .weights = weights});
    };
  };
  expect_error<UserError>(with([](auto& t) { t.erase("sample"); }), {"x.safetensors", "no tensor 'sample'"});
  expect_error<UserError>(with([](auto& t) { t["sample"] = t["sample"].narrow(2, 0, 1); }), {"'sample'", "shape"});
  expect_error<UserError>(with([](auto& t) { t["timestep"] = at::ones({3}); }), {"'timestep'", "found shape [3]"});
  expect_error<UserError>(with([](auto& t) { t["hidden_states"] = t["hidden_states"].narrow(4, 0, 3); }),
                          {"[wan] latents", "divisible by 2"});
  expect_error<UserError>(with([](auto& t) { t["hidden_states"] = at::ones({2}, at::kLong); }),
                          {"'hidden_states'", "floating type"});
  expect_error<UserError>(with([](auto& t) {
                            t["grad_sample"] = at::ones_like(t["sample"]);
                            t["grad.nothing"] = at::ones({1});
                          }),
                          {"'grad.nothing'", "a parameter's name"});
}

TEST(SchedulerParity, EqualsTheReferenceOnEveryFixture) {
  const auto files = files_of("scheduler");
  ASSERT_EQ(files.size(), 80U);  // 4 samplers and grids, 5 numbers of steps, 4 shifts
  for (const auto& file : files) {
    const json report = scheduler_parity({.fixture = file});
    EXPECT_LE(report["max_rel_error"].get<double>(), 2e-6) << file << report.dump();
    EXPECT_TRUE(report["errors"].contains("timesteps") && report["errors"].contains("sigmas"));
  }
}

TEST(SchedulerParity, SettingsMayComeFromAFolder) {
  const TempFolder folder;
  const auto file = testing::fixtures() / "scheduler" / "unipc_diffusers_10_8.safetensors";
  rewrite(file, folder / "x.safetensors", [](auto&, auto& metadata) { metadata.clear(); });
  expect_error<UserError>([&] { scheduler_parity({.fixture = folder / "x.safetensors"}); },
                          {"x.safetensors", "no metadata 'class'", "--weights"});
  write_file_atomic(folder / "scheduler_config.json",
                    R"({"_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": true, "flow_shift": 8.0,
                        "prediction_type": "flow_prediction"})");
  const json report = scheduler_parity({.fixture = folder / "x.safetensors", .weights = folder.path()});
  EXPECT_LE(report["max_rel_error"].get<double>(), 2e-6);
  EXPECT_EQ(report["settings"]["shift"], 8.0);
}

TEST(SchedulerParity, OtherSettingsAreSeen) {
  const TempFolder folder;
  const auto with = [&](const char* name, const char* key, const char* value) {
    rewrite(testing::fixtures() / "scheduler" / name, folder / "x.safetensors",
            [&](auto&, auto& metadata) { metadata[key] = value; });
    return scheduler_parity({.fixture = folder / "x.safetensors"})["max_rel_error"].get<double>();
  };
  EXPECT_GT(with("unipc_diffusers_50_5.safetensors", "grid", "original"), 1e-3);
  EXPECT_GT(with("unipc_diffusers_50_5.safetensors", "class", "euler"), 1e-3);
  EXPECT_GT(with("euler_flow_match_10_3.safetensors", "shift", "3.01"), 1e-4);
  EXPECT_LE(with("euler_flow_match_10_3.safetensors", "class", "euler"), 2e-6);
  expect_error<UserError>([&] { with("euler_flow_match_10_3.safetensors", "class", "heun"); }, {"\"heun\"", "euler"});
  expect_error<UserError>([&] { with("euler_flow_match_10_3.safetensors", "steps", "11"); }, {"'steps'", "found 11"});
  expect_error<UserError>([&] { with("euler_flow_match_10_3.safetensors", "shift", "big"); }, {"'shift'", "\"big\""});
}

TEST(SchedulerParity, WrongFixturesAreRefused) {
  const TempFolder folder;
  const auto with = [&](const std::function<void(std::map<std::string, at::Tensor>&)>& change) {
    return [&, change] {
      rewrite(testing::fixtures() / "scheduler" / "euler_ancestral_flow_match_10_3.safetensors",
              folder / "x.safetensors", [&](auto& tensors, auto&) { change(tensors); });
      scheduler_parity({.fixture = folder / "x.safetensors"});
    };
  };
  expect_error<UserError>(with([](auto& t) { t.erase("noise"); }), {"no tensor 'noise'"});
  expect_error<UserError>(with([](auto& t) { t["x"] = t["x"].narrow(0, 0, 10); }),
                          {"'x'", "found shape [10, 1, 2, 2]", "expected [11, 1, 2, 2]"});
  expect_error<UserError>(with([](auto& t) { t["timesteps"] = at::ones({3}); }), {"'timesteps'", "expected [10]"});
  EXPECT_NO_THROW(with([](auto& t) { t["noise"] = t["noise"].narrow(0, 0, 9); })());
  EXPECT_NO_THROW(with([](auto& t) { t["sigmas"] = t["sigmas"].narrow(0, 0, 10); })());
}

}  // namespace
}  // namespace rehyat::evaluate
