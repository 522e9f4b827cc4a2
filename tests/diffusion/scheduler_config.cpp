#include "diffusion/scheduler_config.h"

#include <gtest/gtest.h>

#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat::diffusion {
namespace {

using json = nlohmann::ordered_json;
using testing::expect_error;

/// What diffusers writes for Wan's UniPC.
json unipc() {
  return json::parse(R"({"_class_name": "UniPCMultistepScheduler", "_diffusers_version": "0.33.0.dev0",
    "beta_end": 0.02, "beta_schedule": "linear", "beta_start": 0.0001, "disable_corrector": [],
    "dynamic_thresholding_ratio": 0.995, "final_sigmas_type": "zero", "flow_shift": 3.0, "lower_order_final": true,
    "num_train_timesteps": 1000, "predict_x0": true, "prediction_type": "flow_prediction",
    "rescale_betas_zero_snr": false, "sample_max_value": 1.0, "shift_terminal": null, "sigma_max": null,
    "sigma_min": null, "solver_order": 2, "solver_p": null, "solver_type": "bh2", "steps_offset": 0,
    "thresholding": false, "time_shift_type": "exponential", "timestep_spacing": "linspace", "trained_betas": null,
    "use_beta_sigmas": false, "use_dynamic_shifting": false, "use_exponential_sigmas": false,
    "use_flow_sigmas": true, "use_karras_sigmas": false})");
}

TEST(SchedulerConfig, ReadsWhatDiffusersWrites) {
  SamplerConfig config = sampler_from_json(unipc(), "here");
  EXPECT_EQ(config.kind, SamplerKind::unipc);
  EXPECT_EQ(config.sigma_grid(), SigmaGrid::diffusers);
  EXPECT_EQ(config.shift, 3.0);
  config = sampler_from_json(json::parse(R"({"_class_name": "FlowMatchEulerDiscreteScheduler", "base_shift": 0.5,
    "base_image_seq_len": 256, "invert_sigmas": false, "max_image_seq_len": 4096, "max_shift": 1.15,
    "num_train_timesteps": 1000, "shift": 8, "shift_terminal": null, "stochastic_sampling": false,
    "time_shift_type": "exponential", "use_dynamic_shifting": false})"),
                             "here");
  EXPECT_EQ(config.kind, SamplerKind::euler);
  EXPECT_EQ(config.sigma_grid(), SigmaGrid::flow_match);
  EXPECT_EQ(config.shift, 8.0);
  config = sampler_from_json(
      json::parse(R"({"_class_name": "LTXEulerAncestralRFScheduler", "eta": 1, "s_noise": 1.0, "shift": 5.0})"),
      "here");
  EXPECT_EQ(config.kind, SamplerKind::euler_ancestral);
  EXPECT_EQ(config.shift, 5.0);
  config = sampler_from_json(json::parse(R"({"_class_name": "FlowUniPCMultistepScheduler", "shift": 5})"), "here");
  EXPECT_EQ(config.sigma_grid(), SigmaGrid::original);
  EXPECT_EQ(config.shift, 5.0);
}

TEST(SchedulerConfig, ReadsAFileOrItsFolder) {
  const testing::TempFolder folder;
  expect_error<UserError>([&] { read_scheduler_config(folder.path()); }, {"scheduler_config.json"});
  write_file_atomic(folder / "scheduler_config.json", unipc().dump());
  EXPECT_EQ(read_scheduler_config(folder.path()).shift, 3.0);
  EXPECT_EQ(read_scheduler_config(folder / "scheduler_config.json").shift, 3.0);
  write_file_atomic(folder / "scheduler_config.json", "[1");
  expect_error<UserError>([&] { read_scheduler_config(folder.path()); }, {"scheduler_config.json", "not JSON"});
}

TEST(SchedulerConfig, RefusesWhatItCannotRun) {
  const auto with = [](const char* key, const json& value) {
    return [=] {
      json j = unipc();
      j[key] = value;
      sampler_from_json(j, "s.json");
    };
  };
  expect_error<UserError>(with("solver_order", 3), {"s.json", "solver_order 3", "expected 2"});
  expect_error<UserError>(with("solver_type", "bh1"), {"solver_type \"bh1\"", "expected \"bh2\""});
  expect_error<UserError>(with("use_flow_sigmas", false), {"use_flow_sigmas false", "expected true"});
  expect_error<UserError>(with("prediction_type", "epsilon"), {"prediction_type \"epsilon\"", "flow_prediction"});
  expect_error<UserError>(with("use_karras_sigmas", true), {"use_karras_sigmas true", "not supported"});
  expect_error<UserError>(with("disable_corrector", {0, 1}), {"disable_corrector [0,1]"});
  expect_error<UserError>(with("final_sigmas_type", "sigma_min"), {"final_sigmas_type"});
  expect_error<UserError>(with("use_dynamic_shifting", true), {"use_dynamic_shifting"});
  expect_error<UserError>(with("a_new_setting", 0.5), {"a_new_setting 0.5", "not supported"});
  expect_error<UserError>(with("flow_shift", 0), {"flow_shift 0", "above 0"});
  expect_error<UserError>(with("_class_name", "DDIMScheduler"), {"\"DDIMScheduler\"", "UniPCMultistepScheduler"});
  expect_error<UserError>(with("_class_name", nullptr), {"_class_name"});
  expect_error<UserError>(
      [] { sampler_from_json(json::parse(R"({"_class_name": "UniPCMultistepScheduler"})"), "s.json"); },
      {"use_flow_sigmas missing", "expected true"});
  expect_error<UserError>(
      [] {
        sampler_from_json(json::parse(R"({"_class_name": "LTXEulerAncestralRFScheduler", "eta": 0.5})"), "s.json");
      },
      {"eta 0.5", "expected 1.0"});
}

TEST(SchedulerNames, AreTakenHoweverTheyAreWritten) {
  for (const char* name : {"unipc", "UniPC", "UniPCMultistepScheduler"})
    EXPECT_EQ(sampler_of_class(name, "x").kind, SamplerKind::unipc) << name;
  for (const char* name : {"euler", "FlowMatchEulerDiscreteScheduler", "flow_match_euler"})
    EXPECT_EQ(sampler_of_class(name, "x").kind, SamplerKind::euler) << name;
  for (const char* name : {"euler_ancestral", "euler-ancestral", "LTXEulerAncestralRFScheduler"})
    EXPECT_EQ(sampler_of_class(name, "x").kind, SamplerKind::euler_ancestral) << name;
  EXPECT_EQ(sampler_of_class("FlowUniPCMultistepScheduler", "x").sigma_grid(), SigmaGrid::original);
  EXPECT_EQ(sigma_grid_of("flow_match", "x"), SigmaGrid::flow_match);
  EXPECT_EQ(sigma_grid_of("Wan", "x"), SigmaGrid::original);
  EXPECT_EQ(sigma_grid_of("diffusers", "x"), SigmaGrid::diffusers);
  expect_error<UserError>([] { sigma_grid_of("karras", "x"); }, {"karras", "flow_match"});
}

}  // namespace
}  // namespace rehyat::diffusion
