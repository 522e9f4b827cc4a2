#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/fixtures.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"
#include "models/umt5/activation.h"
#include "models/umt5/encoder.h"
#include "models/umt5/text_encoder.h"
#include "tensor/weight_files.h"

namespace rehyat::models {
namespace {

namespace fs = std::filesystem;
using rehyat::testing::expect_error;
using rehyat::testing::TempFolder;

const fs::path kText = testing::fixtures() / "text", kFixtures = kText / "umt5";

/// The largest difference over the largest value.
double error_on(const Umt5Encoder& encoder, const std::string& fixture) {
  const auto source = open_safetensors({kFixtures / fixture}, fixture);
  const at::Tensor expected = source->read("last_hidden_state").to(at::kDouble);
  const at::Tensor found = encoder.forward(source->read("input_ids"), source->read("attention_mask"));
  EXPECT_EQ(found.scalar_type(), encoder.type());
  return (found.to(at::kDouble) - expected).abs().max().item<double>() / expected.abs().max().item<double>();
}

TEST(Umt5, EqualsTheOriginal) {
  EXPECT_LE(error_on(Umt5Encoder(open_umt5(kFixtures / "gated")), "gated.safetensors"), 2e-6);
  EXPECT_LE(error_on(Umt5Encoder(open_umt5(kFixtures / "relu_shards")), "relu_shards.safetensors"), 2e-6);
}

TEST(Umt5, EqualsTheOriginalFromTheOriginalLayout) {
  const Umt5Weights original = open_umt5(kFixtures / "models_t5_small.pth"), ours = open_umt5(kFixtures / "gated");
  EXPECT_EQ(original.config, ours.config);
  const Umt5Encoder encoder(original);
  EXPECT_LE(error_on(encoder, "gated.safetensors"), 2e-6);
  EXPECT_EQ(encoder.fingerprint(), Umt5Encoder(ours).fingerprint());
  const TempFolder folder;
  fs::copy(kFixtures / "models_t5_small.pth", folder.path());
  EXPECT_LE(error_on(Umt5Encoder(open_umt5(folder.path())), "gated.safetensors"), 2e-6);
  EXPECT_EQ(open_umt5(kFixtures / "gated" / "model.safetensors").config, ours.config);
}

TEST(Umt5, LowerPrecisionsFollowTheOriginal) {
  const auto open = [](at::ScalarType type) { return Umt5Encoder(open_umt5(kFixtures / "gated"), at::kCPU, type); };
  // Equal bit for bit on the machine that made the fixtures. Other kernels round differently: the bounds are how far
  // the original itself is from the same weights in float64 (0.0021 and 0.027).
  EXPECT_LE(error_on(open(at::kHalf), "gated_half.safetensors"), 2.1e-3);
  EXPECT_LE(error_on(open(at::kBFloat16), "gated_bfloat.safetensors"), 2.8e-2);
  EXPECT_LE(error_on(open(at::kDouble), "gated.safetensors"), 2e-6);
}

TEST(Umt5, HiddenTokensDoNotMatterAndHiddenRowsStayFinite) {
  const Umt5Encoder encoder(open_umt5(kFixtures / "gated"));
  at::Tensor ids = at::arange(3, 23).unsqueeze(0), mask = at::ones({1, 20}, at::kLong);
  mask.narrow(1, 12, 8).zero_();
  const at::Tensor cut = encoder.forward(ids.narrow(1, 0, 12), mask.narrow(1, 0, 12));
  ids = ids.clone();
  const at::Tensor before = encoder.forward(ids, mask);
  ids.narrow(1, 12, 8).fill_(7);
  EXPECT_TRUE(at::allclose(encoder.forward(ids, mask).narrow(1, 0, 12), cut, 1e-5, 1e-5));
  EXPECT_TRUE(at::allclose(before.narrow(1, 0, 12), cut, 1e-5, 1e-5));
  EXPECT_TRUE(at::isfinite(encoder.forward(ids, at::zeros_like(mask))).all().item<bool>());
  EXPECT_FALSE(at::allclose(encoder.forward(ids.flip(1), mask).narrow(1, 0, 12), cut));
}

TEST(Umt5, BucketsAreThoseOfT5) {
  const at::Tensor row = umt5_buckets(400, 32, 128)[200];
  const auto at_distance = [&](std::int64_t d) { return row[200 + d].item<std::int64_t>(); };
  for (std::int64_t d = 0; d < 8; ++d) {
    EXPECT_EQ(at_distance(-d), d);
    EXPECT_EQ(at_distance(d), d > 0 ? 16 + d : 0);
  }
  // Eight logarithmic steps from 8 to 128: two a doubling.
  EXPECT_EQ(at_distance(-8), 8);
  EXPECT_EQ(at_distance(-11), 8);
  EXPECT_EQ(at_distance(-12), 9);
  EXPECT_EQ(at_distance(-16), 10);
  EXPECT_EQ(at_distance(-127), 15);
  EXPECT_EQ(at_distance(-199), 15);
  EXPECT_EQ(at_distance(199), 31);
}

TEST(Umt5, EveryActivationIsKnownOrRefused) {
  const at::Tensor x = at::linspace(-4, 4, 9, at::kDouble);
  for (const char* name : {"gelu", "gelu_10", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_pytorch_tanh", "linear",
                           "mish", "quick_gelu", "relu", "sigmoid", "silu", "swish", "tanh"}) {
    require_activation(name, "x");
    EXPECT_EQ(apply_activation(name, x).sizes(), x.sizes());
  }
  EXPECT_NEAR(apply_activation("gelu_new", x)[6].item<double>(), 1.954597694087775, 1e-12);
  expect_error<UserError>([] { require_activation("snake", "config.json"); }, {"config.json", "'snake'", "gelu_new"});
}

TEST(Umt5, WrongInputsAreRefused) {
  const Umt5Encoder encoder(open_umt5(kFixtures / "gated"));
  const at::Tensor ids = at::zeros({1, 4}, at::kLong);
  expect_error<UserError>(
      [&] {
        encoder.forward(at::full({1, 4}, 600, at::kLong), ids);
      },
      {"token id 600", "0 to 599"});
  expect_error<UserError>([&] { encoder.forward(at::full({1, 4}, -1, at::kLong), ids); }, {"token id -1"});
  expect_error<UserError>([&] { encoder.forward(ids, at::zeros({1, 5}, at::kLong)); }, {"[1, 4]", "[1, 5]"});
  expect_error<UserError>([&] { encoder.forward(ids.to(at::kInt), ids); }, {"Int"});
}

TEST(Umt5, WrongWeightsAreRefused) {
  const TempFolder folder;
  fs::copy(kFixtures / "gated", folder.path(), fs::copy_options::recursive);
  const auto source = open_weights(kFixtures / "gated", kTransformersWeights);
  NamedTensors tensors;
  for (const std::string& name : source->names()) tensors.emplace_back(name, source->read(name));
  const auto refuse = [&](const NamedTensors& written, const std::vector<std::string>& parts) {
    write_tensors(folder / "model.safetensors", written);
    expect_error<UserError>([&] { Umt5Encoder encoder(open_umt5(folder.path())); }, parts);
  };
  const std::string name = tensors[3].first;
  NamedTensors wrong = tensors;
  wrong[3].second = wrong[3].second.unsqueeze(0);
  refuse(wrong, {name, "found shape"});
  wrong = tensors;
  wrong.erase(wrong.begin() + 3);
  refuse(wrong, {"no tensor '" + name});
  wrong = tensors;
  wrong.emplace_back("encoder.block.3.layer.0.layer_norm.weight", at::zeros({32}));
  refuse(wrong, {"encoder.block.3.layer.0.layer_norm.weight", "of this size"});
  wrong = tensors;
  wrong[3].second = wrong[3].second * std::numeric_limits<double>::quiet_NaN();
  refuse(wrong, {name, "NaN or infinite"});
  wrong = tensors;
  wrong[3].second = wrong[3].second.to(at::kInt);
  refuse(wrong, {name, "found type Int"});
  wrong = tensors;
  wrong.emplace_back("encoder.embed_tokens.weight", at::zeros({600, 32}));
  refuse(wrong, {"'encoder.embed_tokens.weight' and 'shared.weight' that differ"});
}

TEST(Umt5, AliasAndDecoderAreUnderstood) {
  const TempFolder folder;
  fs::copy(kFixtures / "gated" / "config.json", folder.path());
  const auto source = open_weights(kFixtures / "gated", kTransformersWeights);
  NamedTensors tensors;
  for (const std::string& name : source->names())
    tensors.emplace_back(name == "shared.weight" ? "encoder.embed_tokens.weight" : name, source->read(name));
  tensors.emplace_back("decoder.block.0.layer.0.SelfAttention.q.weight", at::zeros({2}));
  tensors.emplace_back("lm_head.weight", at::zeros({2}));
  write_tensors(folder / "model.safetensors", tensors);
  EXPECT_LE(error_on(Umt5Encoder(open_umt5(folder.path())), "gated.safetensors"), 2e-6);
}

TEST(Umt5, WrongConfigsAreRefused) {
  const auto refuse = [](const nlohmann::ordered_json& change, const std::vector<std::string>& parts) {
    nlohmann::ordered_json j = {{"model_type", "umt5"}, {"d_model", 8}};
    j.update(change);
    expect_error<UserError>([&] { umt5_config_from_json(j, "c.json"); }, parts);
  };
  refuse({{"model_type", "t5"}}, {"c.json", "\"t5\"", "position biases"});
  refuse({{"d_model", "8"}}, {"d_model \"8\"", "whole number"});
  refuse({{"num_heads", 0}}, {"a size of 0"});
  refuse({{"feed_forward_proj", "gated-snake"}}, {"'snake'"});
  refuse({{"relative_attention_num_buckets", 2}}, {"2 buckets"});
  refuse({{"relative_attention_max_distance", 8}}, {"distance of 8"});
  refuse({{"layer_norm_epsilon", 0}}, {"layer_norm_epsilon of 0"});
  expect_error<UserError>([] { umt5_config_from_json(nlohmann::ordered_json::array(), "c.json"); }, {"no JSON object"});
  const Umt5Config absent = umt5_config_from_json({{"feed_forward_proj", "relu"}}, "c.json");
  EXPECT_EQ(absent.width, 512);
  EXPECT_FALSE(absent.gated);
  expect_error<UserError>([] { open_umt5("/nowhere"); }, {"/nowhere", "check the path"});
  const TempFolder folder;
  expect_error<UserError>([&] { open_umt5(folder.path()); }, {"neither config.json nor models_t5_*.pth"});
  fs::copy(kFixtures / "models_t5_small.pth", folder.path());
  EXPECT_NO_THROW(open_umt5(folder.path()));
  fs::copy(kFixtures / "gated", folder.path());
  expect_error<UserError>([&] { open_umt5(folder.path()); },
                          {folder.path().string(), "model.safetensors and models_t5_small.pth", "the weights of UMT5"});
}

std::int64_t anonymous_kilobytes() {
  std::ifstream in("/proc/self/status");
  std::string line;
  while (std::getline(in, line)) {
    if (line.starts_with("RssAnon:")) return std::stoll(line.substr(8));
  }
  return 0;
}

TEST(Umt5, MappedWeightsTakeNoMemory) {
  const TempFolder folder;
  Umt5Config c;
  c.vocabulary = 40'000;
  c.width = 512;
  c.layers = 1;
  c.heads = 2;
  c.head_width = 64;
  c.feed_forward = 20'000;
  const auto add = [](NamedTensors& to, const std::string& name, at::IntArrayRef shape) {
    to.emplace_back(name, at::full(shape, 0.01, at::kBFloat16));
  };
  {
    NamedTensors tensors;
    const std::string attention = "encoder.block.0.layer.0.", ffn = "encoder.block.0.layer.1.";
    add(tensors, "shared.weight", {c.vocabulary, c.width});
    for (const char* name : {"q", "k", "v"})
      add(tensors, attention + "SelfAttention." + name + ".weight", {128, c.width});
    add(tensors, attention + "SelfAttention.o.weight", {c.width, 128});
    add(tensors, attention + "SelfAttention.relative_attention_bias.weight", {32, 2});
    add(tensors, attention + "layer_norm.weight", {c.width});
    add(tensors, ffn + "layer_norm.weight", {c.width});
    for (const char* name : {"wi_0", "wi_1"})
      add(tensors, ffn + "DenseReluDense." + name + ".weight", {c.feed_forward, c.width});
    add(tensors, ffn + "DenseReluDense.wo.weight", {c.width, c.feed_forward});
    add(tensors, "encoder.final_layer_norm.weight", {c.width});
    write_tensors(folder / "a.safetensors", tensors);
  }
  const auto megabytes = static_cast<std::int64_t>(fs::file_size(folder / "a.safetensors") >> 20);
  ASSERT_GE(megabytes, 90);
  const std::int64_t before = anonymous_kilobytes();
  const Umt5Encoder encoder(open_umt5(folder / "a.safetensors"));
  EXPECT_EQ(encoder.type(), at::kBFloat16);
  // The buffers that the finite check needs may stay with the allocator.
  EXPECT_LE((anonymous_kilobytes() - before) >> 10, megabytes / 2);
}

TEST(Umt5TextEncoder, CleansTokenizesEncodesAndPads) {
  Umt5TextOptions options;
  options.weights = kFixtures / "gated";
  options.tokenizer = kText / "tokenizer" / "spiece" / "spiece.model";
  options.length = 40;
  Umt5TextEncoder encoder(options);
  const std::vector<std::string> prompts = {"a  cat &amp;amp; a dog", "", "a cat & a dog", "a </s> a"};
  const at::Tensor out = encoder.encode(prompts);
  ASSERT_EQ(out.sizes(), at::IntArrayRef({4, 40, 32}));
  EXPECT_EQ(out.scalar_type(), at::kFloat);
  EXPECT_TRUE(at::equal(out[0], out[2]));
  const Umt5Encoder model(open_umt5(options.weights));
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const at::Tensor ids = at::tensor(encoder.tokens(prompts[i]), at::kLong).unsqueeze(0);
    // As the original: padded, masked, cut again.
    at::Tensor padded = at::zeros({1, 40}, at::kLong), mask = at::zeros({1, 40}, at::kLong);
    padded.narrow(1, 0, ids.size(1)).copy_(ids);
    mask.narrow(1, 0, ids.size(1)).fill_(1);
    const at::Tensor row = out[static_cast<std::int64_t>(i)], expected = model.forward(padded, mask)[0];
    EXPECT_TRUE(at::allclose(row.narrow(0, 0, ids.size(1)), expected.narrow(0, 0, ids.size(1)), 1e-5, 1e-5));
    EXPECT_EQ(row.narrow(0, ids.size(1), 40 - ids.size(1)).abs().sum().item<double>(), 0);
  }
  EXPECT_EQ(encoder.tokens(""), std::vector<std::int64_t>{1});
  EXPECT_GT(out[1][0].abs().sum().item<double>(), 0);
  EXPECT_EQ(encoder.encode({}).sizes(), at::IntArrayRef({0, 40, 32}));
  options.weights = kFixtures / "relu_shards";
  expect_error<UserError>([&] { Umt5TextEncoder(options).encode({"<extra_id_0>"}); },
                          {"token id 599", "another model"});
}

TEST(Umt5TextEncoder, TheFingerprintNamesWhatMatters) {
  Umt5TextOptions options;
  options.weights = kFixtures / "gated";
  options.tokenizer = kText / "tokenizer" / "spiece";
  const std::string first = Umt5TextEncoder(options).fingerprint();
  EXPECT_EQ(Umt5TextEncoder(options).fingerprint(), first);
  options.tokenizer = kText / "tokenizer" / "extra";
  EXPECT_NE(Umt5TextEncoder(options).fingerprint(), first);
  options.tokenizer = kText / "tokenizer" / "spiece";
  options.type = at::kBFloat16;
  EXPECT_NE(Umt5TextEncoder(options).fingerprint(), first);
  options.type.reset();
  options.weights = kFixtures / "relu_shards";
  EXPECT_NE(Umt5TextEncoder(options).fingerprint(), first);
}

TEST(FindUmt5, KnowsBothLayouts) {
  const TempFolder folder;
  expect_error<UserError>([&] { find_umt5(folder.path()); },
                          {"neither text_encoder and tokenizer nor google/umt5-xxl"});
  make_folder(folder / "google/umt5-xxl");
  EXPECT_EQ(find_umt5(folder.path()).weights, folder.path());
  make_folder(folder / "text_encoder");
  expect_error<UserError>([&] { find_umt5(folder.path()); },
                          {folder.path().string(), "text_encoder and google/umt5-xxl", "model.text"});
  std::filesystem::remove_all(folder / "google");
  EXPECT_EQ(find_umt5(folder.path()).tokenizer, folder / "tokenizer");
}

}  // namespace
}  // namespace rehyat::models
