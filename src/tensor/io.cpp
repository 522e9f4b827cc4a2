#include "tensor/io.h"

#include <ATen/Parallel.h>

#include <atomic>
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

namespace {

/// Whether one of the numbers has an exponent of all ones, which only NaN and infinity have: adding `low`, the lowest
/// bit of the exponent, then carries into the sign. Branchless, so that the compiler makes it as fast as memory.
template <typename Bits>
bool any_special(const void* data, std::int64_t count, Bits exponent, Bits low) {
  const auto* bits = static_cast<const Bits*>(data);
  std::atomic<bool> found{false};
  at::parallel_for(0, count, std::int64_t{1} << 20, [&](std::int64_t begin, std::int64_t end) {
    Bits carry = 0;
    for (std::int64_t i = begin; i < end; ++i) carry |= static_cast<Bits>((bits[i] & exponent) + low);
    if ((carry >> (8 * sizeof(Bits) - 1)) != 0) found.store(true, std::memory_order_relaxed);
  });
  return found;
}

bool all_finite(const at::Tensor& tensor) {
  if (tensor.is_cpu() && tensor.is_contiguous()) {
    const void* data = tensor.const_data_ptr();
    const std::int64_t count = tensor.numel();
    switch (tensor.scalar_type()) {
      case at::kDouble:
        return !any_special<std::uint64_t>(data, count, 0x7FF0'0000'0000'0000, 0x0010'0000'0000'0000);
      case at::kFloat:
        return !any_special<std::uint32_t>(data, count, 0x7F80'0000, 0x0080'0000);
      case at::kHalf:
        return !any_special<std::uint16_t>(data, count, 0x7C00, 0x0400);
      case at::kBFloat16:
        return !any_special<std::uint16_t>(data, count, 0x7F80, 0x0080);
      default:
        break;
    }
  }
  return at::isfinite(tensor).all().item<bool>();
}

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), static_cast<std::size_t>(tensor.nbytes())};
}

}  // namespace

void require_finite(const at::Tensor& tensor, const std::string& where) {
  if (!tensor.is_floating_point()) return;
  require(all_finite(tensor), [&] {
    const auto bad = at::isfinite(tensor).logical_not().sum().item<std::int64_t>();  // counted only on failure
    return cat(where, ": found ", bad, " of ", tensor.numel(), " values NaN or infinite, expected finite numbers");
  });
}

void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                   const safetensors::Metadata& metadata, std::optional<at::ScalarType> type) {
  std::vector<safetensors::Entry> entries;
  for (const auto& [name, tensor] : tensors)
    entries.push_back({name, to_dtype(type.value_or(tensor.scalar_type())), tensor.sizes().vec()});
  at::Tensor held;  // the copy, if one is needed, of the tensor that is being written
  safetensors::write(path, entries, metadata, [&](std::size_t i) {
    const at::Tensor& tensor = tensors[i].second;
    const at::ScalarType from = tensor.scalar_type(), to = type.value_or(from);
    held = tensor.detach().to(at::kCPU, to).contiguous();
    if (to == at::kHalf && from != at::kHalf && tensor.is_floating_point()) {
      require(all_finite(held) || !all_finite(tensor), [&] {
        return cat(path.string(), ": tensor '", tensors[i].first, "': found the value ",
                   tensor.detach().abs().max().item<double>(),
                   ", expected at most 65504, the largest float16; write it as bf16 or f32");
      });
    }
    return bytes_of(held);
  });
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
