#include "tensor/io.h"

#include <cstring>

#include "core/error.h"
#include "core/hash.h"
#include "core/strings.h"

namespace rehyat {

at::ScalarType to_scalar_type(safetensors::DType dtype) {
  using safetensors::DType;
  switch (dtype) {
    case DType::f64:
      return at::kDouble;
    case DType::f32:
      return at::kFloat;
    case DType::f16:
      return at::kHalf;
    case DType::bf16:
      return at::kBFloat16;
    case DType::i64:
      return at::kLong;
    case DType::i32:
      return at::kInt;
    case DType::i16:
      return at::kShort;
    case DType::i8:
      return at::kChar;
    case DType::u8:
      return at::kByte;
    case DType::boolean:
      return at::kBool;
  }
  return at::kFloat;
}

safetensors::DType to_dtype(at::ScalarType type) {
  using safetensors::DType;
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::i64, DType::i32, DType::i16,
                            DType::i8, DType::u8, DType::boolean}) {
    if (to_scalar_type(dtype) == type) return dtype;
  }
  throw UserError(
      {"[safetensors] dtype", at::toString(type), "a floating, integer or boolean type", "convert the tensor first"});
}

at::Tensor read_tensor(const safetensors::Reader& reader, const safetensors::TensorInfo& info) {
  const auto bytes = reader.bytes(info);
  const auto options = at::TensorOptions().dtype(to_scalar_type(info.dtype));
  auto* data = const_cast<std::byte*>(bytes.data());
  if (reinterpret_cast<std::uintptr_t>(data) % safetensors::size_of(info.dtype) != 0) {
    at::Tensor copy = at::empty(info.shape, options);
    std::memcpy(copy.data_ptr(), data, bytes.size());
    return copy;
  }
  // The deleter holds the mapping for as long as the tensor lives.
  return at::from_blob(
      data, info.shape, [mapping = reader.mapping()](void*) {}, options);
}

at::Tensor read_tensor(const safetensors::Reader& reader, std::string_view name, at::IntArrayRef shape) {
  const safetensors::TensorInfo& info = reader.at(name);
  require(at::IntArrayRef(info.shape) == shape, [&] {
    return cat(reader.path().string(), ": tensor '", name, "': found shape ", shape_string(info.shape), ", expected ",
               shape_string(shape.vec()));
  });
  return read_tensor(reader, info);
}

void require_finite(const at::Tensor& tensor, const std::string& where) {
  if (!tensor.is_floating_point()) return;
  // In parts: as float64 a large embedding would take four times its own size.
  constexpr std::int64_t most = std::int64_t{1} << 24;
  const bool parts = tensor.numel() > most && tensor.is_contiguous();
  const at::Tensor rows = parts ? tensor.view({-1}) : tensor;
  std::int64_t bad = 0;
  for (const at::Tensor& part : parts ? rows.split(most) : std::vector<at::Tensor>{rows}) {
    // A sum is finite only if every value is, and costs one pass without a mask; the count is taken only on failure.
    const at::Tensor total = part.to(at::kDouble).abs().sum();
    if (!at::isfinite(total).item<bool>()) bad += at::isfinite(part).logical_not().sum().item<std::int64_t>();
  }
  require(bad == 0, [&] {
    return cat(where, ": found ", bad, " of ", tensor.numel(), " values NaN or infinite, expected finite numbers");
  });
}

namespace {

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), static_cast<std::size_t>(tensor.nbytes())};
}

}  // namespace

void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                   const safetensors::Metadata& metadata) {
  std::vector<at::Tensor> kept;  // contiguous copies on the CPU live until the file is written
  std::vector<safetensors::Item> items;
  kept.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    kept.push_back(tensor.detach().to(at::kCPU).contiguous());
    items.push_back({name, to_dtype(tensor.scalar_type()), tensor.sizes().vec(), bytes_of(kept.back())});
  }
  safetensors::write(path, items, metadata);
}

std::string hash_tensor(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.detach().to(at::kCPU).contiguous();
  const auto bytes = bytes_of(flat);
  return Hasher()
      .update(cat(at::toString(flat.scalar_type()), shape_string(flat.sizes().vec())))
      .update(bytes.data(), bytes.size())
      .digest();
}

}  // namespace rehyat
