#include <gtest/gtest.h>

#include "core/expect_error.h"
#include "models/small_wan.h"

namespace rehyat::models {
namespace {

using testing::expect_error;
using testing::run;
using testing::small_wan;
using testing::wan_inputs;

TEST(WanInputs, WrongLatents) {
  WanTransformer model = small_wan(1);
  auto in = wan_inputs();
  in.latents = at::zeros({2, 4, 7, 5, 6});
  expect_error<UserError>([&] { run(model, in); },
                          {"[wan] latents", "found 5 x 6", "divisible by 2", "use a video size divisible by 16"});
  in.latents = at::zeros({2, 4, 7, 4, 3});
  expect_error<UserError>([&] { run(model, in); }, {"[wan] latents", "found 4 x 3"});
  in.latents = at::zeros({2, 16, 7, 4, 6});
  expect_error<UserError>([&] { run(model, in); }, {"[wan] latents", "found [2, 16, 7, 4, 6]", "expected [B, 4,"});
  in.latents = at::zeros({4, 7, 4, 6});
  expect_error<UserError>([&] { run(model, in); }, {"[wan] latents", "found [4, 7, 4, 6]"});
  in.latents = at::zeros({2, 4, 0, 4, 6});
  expect_error<UserError>([&] { run(model, in); }, {"[wan] latents", "found [2, 4, 0, 4, 6]"});
}

TEST(WanInputs, WrongText) {
  WanTransformer model = small_wan(1);
  auto in = wan_inputs();
  in.text = at::zeros({2, 5, 21});
  expect_error<UserError>([&] { run(model, in); }, {"[wan] text", "found [2, 5, 21]", "expected [2, L, 20]"});
  in.text = at::zeros({1, 5, 20});
  expect_error<UserError>([&] { run(model, in); }, {"[wan] text", "found [1, 5, 20]", "expected [2, L, 20]"});
  in.text = at::zeros({2, 0, 20});
  expect_error<UserError>([&] { run(model, in); }, {"[wan] text", "found [2, 0, 20]"});
}

TEST(WanInputs, WrongTimestep) {
  WanTransformer model = small_wan(1);
  auto in = wan_inputs();
  in.timestep = at::zeros({3});
  expect_error<UserError>([&] { run(model, in); }, {"[wan] timestep", "found [3]", "expected [2]"});
}

TEST(WanInputs, ChunksNeedARecurrentForm) {
  WanTransformer model = small_wan(2);
  EXPECT_FALSE(model->fully_recurrent());
  expect_error<UserError>([&] { model->make_states(4, 6); }, {"[wan] block 0", "softmax", "expected causal rehyat"});
  convert(model, {{0, testing::every_attention()[1]}}, 1, testing::kLatent);
  expect_error<UserError>([&] { model->make_states(4, 6); }, {"[wan] block 1", "softmax"});
  convert(model, {{1, testing::every_attention()[5]}}, 1, testing::kLatent);
  EXPECT_FALSE(model->fully_recurrent());  // not causal
}

TEST(WanInputs, RopeKeepsToItsTable) {
  WanTransformer model = small_wan(1);
  EXPECT_NO_THROW(model->rope({1, 4, 6}, 1023));
  EXPECT_THROW(model->rope({2, 4, 6}, 1023), UserError);
}

TEST(WanConfig, RefusesSizesThatCannotBe) {
  const auto with = [](auto&& change) {
    WanConfig config = testing::small_config();
    change(config);
    return [config] { WanTransformer model(config); };
  };
  expect_error<UserError>(with([](WanConfig& c) { c.heads = 0; }), {"[model]", "found", "0"});
  expect_error<UserError>(with([](WanConfig& c) { c.heads = 5; }), {"dim 24 and 5 heads"});
  expect_error<UserError>(with([](WanConfig& c) { c.heads = 8; }), {"dim 24 and 8 heads", "even head width"});
  expect_error<UserError>(with([](WanConfig& c) { c.freq_dim = 17; }), {"freq_dim", "found 17", "even"});
  expect_error<UserError>(with([](WanConfig& c) { c.layers = -1; }), {"found a size of -1"});
}

TEST(SetSpec, KeepsTheFeatureMaps) {
  WanTransformer model = small_wan(1);
  const BlockAttention attention = testing::every_attention()[1];
  expect_error<UserError>([&] { model->attention(0)->set_spec(attention.spec); }, {"[set_spec]", "softmax"});
  testing::convert_all(model, attention);
  const at::Tensor before = model->attention(0)->phi_q()->parameters().front().clone();
  ops::AttentionSpec other = attention.spec;
  other.tc = 1;
  model->attention(0)->set_spec(other);
  EXPECT_EQ(model->attention(0)->attention().spec.tc, 1);
  EXPECT_TRUE(at::equal(model->attention(0)->phi_q()->parameters().front(), before));
  other.tc = 0;
  EXPECT_THROW(model->attention(0)->set_spec(other), UserError);
}

}  // namespace
}  // namespace rehyat::models
