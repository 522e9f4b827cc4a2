#include "tensor/tensor_source.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"

namespace rehyat {
namespace {

using testing::expect_error;
using testing::TempFolder;

/// a [3000, 5] and b [7] in a file, so that a covers whole pages.
NamedTensors stored(at::ScalarType type) {
  return {{"a", at::arange(15'000, at::kFloat).view({3000, 5}).remainder(251).to(type)}, {"b", at::ones({7}, type)}};
}

NamedTensors parameters() {
  return {{"a", at::empty({3000, 5}).requires_grad_()}, {"b", at::empty({7}).requires_grad_()}};
}

void expect_values(const NamedTensors& found, const NamedTensors& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_TRUE(at::equal(found[i].second.to(at::kDouble), expected[i].second.to(at::kDouble))) << expected[i].first;
}

TEST(PlaceExactly, ConvertsOrKeepsTheFilesType) {
  const TempFolder folder;
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf, at::kFloat, at::kDouble}) {
    write_tensors(folder / "x.safetensors", stored(type));
    const auto source = open_safetensors({folder / "x.safetensors"}, "x");
    for (const std::optional<at::ScalarType> asked :
         {std::optional<at::ScalarType>(at::kFloat), std::optional<at::ScalarType>(at::kBFloat16),
          std::optional<at::ScalarType>()}) {
      const NamedTensors targets = parameters();
      place_exactly(targets, *source, asked, at::kCPU);
      expect_values(targets, stored(type));
      for (const auto& item : targets) {
        EXPECT_EQ(item.second.scalar_type(), asked.value_or(type));
        EXPECT_TRUE(item.second.requires_grad());
      }
    }
  }
}

TEST(PlaceExactly, WhatIsWrittenToAMappedTensorStaysInTheProcess) {
  const TempFolder folder;
  write_tensors(folder / "x.safetensors", stored(at::kFloat));
  const NamedTensors targets = parameters();
  {
    const auto source = open_safetensors({folder / "x.safetensors"}, "x");
    place_exactly(targets, *source, std::nullopt, at::kCPU);
  }
  const at::NoGradGuard no_grad;
  at::Tensor(targets[0].second).add_(1);  // the source is closed: the tensor keeps the mapping
  EXPECT_TRUE(at::equal(targets[0].second, stored(at::kFloat)[0].second + 1));
  const auto again = open_safetensors({folder / "x.safetensors"}, "x");
  EXPECT_TRUE(at::equal(again->read("a"), stored(at::kFloat)[0].second));
}

TEST(PlaceExactly, ConvertedTensorsDoNotPointIntoTheFile) {
  const TempFolder folder;
  write_tensors(folder / "x.safetensors", stored(at::kFloat));
  const NamedTensors targets = parameters();
  const auto source = open_safetensors({folder / "x.safetensors"}, "x");
  place_exactly(targets, *source, at::kFloat, at::kCPU);
  EXPECT_NE(targets[0].second.data_ptr(), source->read("a").data_ptr());
  source->release("a");  // and comes back when it is read again
  EXPECT_TRUE(at::equal(source->read("a"), targets[0].second));
}

TEST(PlaceExactly, RefusesWhatAssignExactlyRefuses) {
  const TempFolder folder;
  const auto place = [&](const NamedTensors& tensors) {
    write_tensors(folder / "x.safetensors", tensors);
    place_exactly(parameters(), *open_safetensors({folder / "x.safetensors"}, "x"), std::nullopt, at::kCPU);
  };
  NamedTensors bad = stored(at::kHalf);
  bad[0].second[17][3] = std::numeric_limits<float>::infinity();
  expect_error<UserError>([&] { place(bad); }, {"x.safetensors", "'a'", "1 of 15000", "NaN or infinite"});
  expect_error<UserError>([&] { place({stored(at::kHalf)[0]}); }, {"no tensor 'b'", "1 of 2"});
  bad = stored(at::kFloat);
  bad[1].second = at::ones({8});
  expect_error<UserError>([&] { place(bad); }, {"'b'", "found shape [8]", "expected [7]"});
}

TEST(WriteTensors, ConvertsOnTheWayAndRefusesWhatDoesNotFit) {
  const TempFolder folder;
  write_tensors(folder / "x", stored(at::kFloat), {}, at::kBFloat16);
  const safetensors::Reader reader(folder / "x");
  EXPECT_EQ(reader.at("a").dtype, safetensors::DType::bf16);
  EXPECT_TRUE(at::equal(read_tensor(reader, reader.at("a")), stored(at::kBFloat16)[0].second));
  expect_error<UserError>(
      [&] {
        write_tensors(folder / "y", {{"w", at::full({3}, -7e4)}}, {}, at::kHalf);
      },
      {"y", "'w'", "70000", "65504", "bf16"});
  EXPECT_FALSE(std::filesystem::exists(folder / "y"));
}

/// The largest finite value of a type.
double largest(at::ScalarType type) {
  return type == at::kHalf ? 65504 : type == at::kDouble ? 1.7e308 : 3.3e38;
}

TEST(RequireFinite, SeesEveryPlaceOfALargeTensor) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf}) {
    at::Tensor tensor = at::full({3 << 20}, largest(type), type);
    EXPECT_NO_THROW(require_finite(tensor, "x"));
    for (const std::int64_t i : {std::int64_t{0}, tensor.numel() / 2, tensor.numel() - 1}) {
      const at::Tensor kept = tensor[i].clone();
      for (const double bad : {std::nan(""), -std::nan(""), HUGE_VAL, -HUGE_VAL}) {
        tensor[i] = bad;
        EXPECT_THROW(require_finite(tensor, "x"), UserError) << type << ' ' << i << ' ' << bad;
      }
      tensor[i] = kept;
    }
    tensor[5] = HUGE_VAL;
    const at::Tensor strided = tensor.view({-1, 2}).t();
    EXPECT_THROW(require_finite(strided, "x"), UserError);
  }
}

TEST(QuantizedWeights, AreRefusedWithTheReason) {
  const testing::TempFolder folder;
  const std::vector<std::byte> bytes(16);
  const auto file = folder / "fp8.safetensors";
  const auto source_of = [&](std::vector<safetensors::Item> items) {
    safetensors::write(file, items);
    return open_safetensors({file}, file.string());
  };
  const safetensors::Item weight = {"blocks.0.q.weight", safetensors::DType::f8_e4m3, {4, 4}, bytes};
  const safetensors::Item scale = {"blocks.0.q.scale_weight", safetensors::DType::f32, {1}, std::span(bytes).first(4)};
  const safetensors::Item flag = {"a.scaled_fp8", safetensors::DType::f8_e4m3, {2}, std::span(bytes).first(2)};
  const NamedTensors targets = {{"blocks.0.q.weight", at::zeros({4, 4})}};
  testing::expect_error<UserError>(
      [&] { assign_exactly(targets, *source_of({weight})); },
      {"fp8.safetensors: tensor 'blocks.0.q.weight': found the type F8_E4M3 of quantized weights",
       "bf16, fp16 or f32"});
  testing::expect_error<UserError>(
      [&] {
        assign_exactly(targets, *source_of({flag, weight, scale}));
      },
      {"F8_E4M3", "scales", "bf16, fp16 or f32"});
  testing::expect_error<UserError>([&] { source_of({weight})->read("blocks.0.q.weight"); }, {"F8_E4M3"});
  // What the model does not ask for may be of any type.
  EXPECT_NO_THROW(assign_exactly({}, *source_of({weight}), {"blocks.0.q.weight"}));
  EXPECT_EQ(source_of({weight})->shape("blocks.0.q.weight"), (std::vector<std::int64_t>{4, 4}));
}

}  // namespace
}  // namespace rehyat
