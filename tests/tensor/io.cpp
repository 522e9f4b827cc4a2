#include "tensor/io.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/strings.h"
#include "core/temp_folder.h"

namespace rehyat {
namespace {

using testing::expect_error;
using testing::TempFolder;

at::Tensor sample(at::ScalarType type, at::IntArrayRef shape) {
  return at::arange(c10::multiply_integers(shape), at::kDouble).sub(3).remainder(7).reshape(shape).to(type);
}

bool same(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() && at::equal(a, b);
}

TEST(TensorIo, EveryDTypeAndShapeSurvives) {
  const TempFolder folder;
  NamedTensors written;
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort,
                                    at::kChar, at::kByte, at::kBool}) {
    int number = 0;
    for (const std::vector<std::int64_t>& shape :
         std::vector<std::vector<std::int64_t>>{{}, {1}, {2, 3, 5}, {0}, {4, 0, 2}})
      written.emplace_back(cat(at::toString(type), number++), sample(type, shape));
  }
  write_tensors(folder / "a", written, {{"k", "v"}});
  const safetensors::Reader reader(folder / "a");
  EXPECT_EQ(reader.metadata().at("k"), "v");
  ASSERT_EQ(reader.tensors().size(), written.size());
  for (std::size_t i = 0; i < written.size(); ++i) {
    EXPECT_EQ(reader.tensors()[i].name, written[i].first);
    EXPECT_TRUE(same(read_tensor(reader, reader.tensors()[i]), written[i].second)) << written[i].first;
  }
}

TEST(TensorIo, SpecialValuesSurviveBitForBit) {
  const TempFolder folder;
  const double inf = std::numeric_limits<double>::infinity();
  const at::Tensor odd = at::tensor({inf, -inf, std::nan(""), -0.0, 5e-324}, at::kDouble);
  write_tensors(folder / "a", {{"t", odd}});
  const safetensors::Reader reader(folder / "a");
  EXPECT_EQ(rehyat::hash_tensor(read_tensor(reader, reader.at("t"))), rehyat::hash_tensor(odd));
}

TEST(TensorIo, ATensorThatLiesUnalignedInTheFileIsReadRight) {
  const TempFolder folder;
  const at::Tensor byte = sample(at::kByte, {3}), floats = sample(at::kFloat, {5}), doubles = sample(at::kDouble, {2});
  write_tensors(folder / "a", {{"byte", byte}, {"floats", floats}, {"half", byte[0].to(at::kHalf)}, {"d", doubles}});
  const safetensors::Reader reader(folder / "a");
  const at::Tensor read = read_tensor(reader, reader.at("floats"));
  EXPECT_TRUE(same(read, floats));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(read.data_ptr()) % alignof(float), 0U);
  EXPECT_TRUE(same(read_tensor(reader, reader.at("d")), doubles));
  EXPECT_TRUE(same(read_tensor(reader, reader.at("byte")), byte));
}

TEST(TensorIo, ViewsAreWrittenAsWhatTheyShow) {
  const TempFolder folder;
  const at::Tensor base = sample(at::kFloat, {4, 6});
  const at::Tensor leaf = sample(at::kFloat, {3}).set_requires_grad(true);
  const NamedTensors views = {{"transposed", base.t()},
                              {"strided", base.slice(1, 1, 6, 2)},
                              {"expanded", base[0].unsqueeze(0).expand({3, 6})},
                              {"flipped", base.flip(0)},
                              {"leaf", leaf}};
  write_tensors(folder / "a", views);
  const safetensors::Reader reader(folder / "a");
  for (const auto& [name, tensor] : views) {
    EXPECT_TRUE(same(read_tensor(reader, reader.at(name)), tensor)) << name;
    EXPECT_EQ(rehyat::hash_tensor(tensor), rehyat::hash_tensor(tensor.contiguous())) << name;
  }
}

TEST(TensorIo, AReadTensorOutlivesReaderAndFile) {
  const TempFolder folder;
  const at::Tensor written = sample(at::kFloat, {1000});
  write_tensors(folder / "a", {{"t", written}});
  at::Tensor read;
  {
    const safetensors::Reader reader(folder / "a");
    read = read_tensor(reader, "t", {1000});
  }
  std::filesystem::remove(folder / "a");
  EXPECT_TRUE(same(read, written));
}

TEST(TensorIo, AnotherShapeIsASentenceWithBoth) {
  const TempFolder folder;
  write_tensors(folder / "a", {{"blocks.0.weight", sample(at::kFloat, {2, 3})}});
  const safetensors::Reader reader(folder / "a");
  EXPECT_TRUE(read_tensor(reader, "blocks.0.weight", {2, 3}).defined());
  expect_error<UserError>(
      [&] {
        read_tensor(reader, "blocks.0.weight", {3, 2});
      },
      {(folder / "a").string(), "'blocks.0.weight'", "found shape [2, 3]", "expected [3, 2]"});
  expect_error<UserError>([&] { read_tensor(reader, "blocks.0.weight", {6}); }, {"expected [6]"});
  expect_error<UserError>(
      [&] {
        read_tensor(reader, "blocks.0.wieght", {2, 3});
      },
      {"'blocks.0.wieght'", "the nearest is 'blocks.0.weight'"});
}

TEST(TensorIo, DTypesThatTheFormatLacksAreRefused) {
  const TempFolder folder;
  expect_error<UserError>(
      [&] {
        write_tensors(folder / "a", {{"t", at::zeros({2}, at::kComplexFloat)}});
      },
      {"ComplexFloat", "convert"});
  EXPECT_FALSE(std::filesystem::exists(folder / "a"));
}

TEST(RequireFinite, CountsWhatIsNot) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf}) {
    at::Tensor tensor = at::ones({4, 5}, type);
    EXPECT_NO_THROW(require_finite(tensor, "x"));
    tensor[1][2] = std::nan("");
    tensor[3][4] = -std::numeric_limits<double>::infinity();
    expect_error<UserError>([&] { require_finite(tensor, "clip 7, latents"); },
                            {"clip 7, latents", "2 of 20", "NaN or infinite"});
  }
  // Finite values whose sum is not are finite all the same.
  EXPECT_NO_THROW(require_finite(at::full({8}, 1e308, at::kDouble), "x"));
  EXPECT_NO_THROW(require_finite(at::full({8}, 3e38, at::kFloat), "x"));
  EXPECT_NO_THROW(require_finite(at::zeros({0}), "x"));
  EXPECT_NO_THROW(require_finite(at::arange(5), "x"));
}

TEST(HashTensor, TellsApartValuesShapesAndDTypes) {
  const at::Tensor a = sample(at::kFloat, {2, 3});
  EXPECT_EQ(rehyat::hash_tensor(a), rehyat::hash_tensor(a.clone()));
  at::Tensor other = a.clone();
  other[1][2] += 1;
  for (const at::Tensor& b : {other, a.reshape({3, 2}), a.reshape({6}), a.to(at::kDouble), at::zeros({2, 3})})
    EXPECT_NE(rehyat::hash_tensor(a), rehyat::hash_tensor(b));
  EXPECT_NE(rehyat::hash_tensor(at::zeros({4}, at::kFloat)), rehyat::hash_tensor(at::zeros({4}, at::kInt)));
}

}  // namespace
}  // namespace rehyat
