#include "tensor/io.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "core/error.h"
#include "core/hash.h"
#include "core/strings.h"

namespace rehyat {

namespace {

using safetensors::DType;

constexpr std::array<std::pair<DType, at::ScalarType>, 10> kComputable = {{{DType::f64, at::kDouble},
                                                                           {DType::f32, at::kFloat},
                                                                           {DType::f16, at::kHalf},
                                                                           {DType::bf16, at::kBFloat16},
                                                                           {DType::i64, at::kLong},
                                                                           {DType::i32, at::kInt},
                                                                           {DType::i16, at::kShort},
                                                                           {DType::i8, at::kChar},
                                                                           {DType::u8, at::kByte},
                                                                           {DType::boolean, at::kBool}}};
constexpr const char* kComputableNames = "F64, F32, F16, BF16, I64, I32, I16, I8, U8 or BOOL";

std::optional<at::ScalarType> computable(DType dtype) {
  const auto found = std::ranges::find(kComputable, dtype, &std::pair<DType, at::ScalarType>::first);
  return found == kComputable.end() ? std::nullopt : std::optional(found->second);
}

/// The name of a tensor that scales quantized weights, as ComfyUI's files and others have them; empty without one.
std::string scale_in(const safetensors::Reader& reader) {
  for (const auto& info : reader.tensors()) {
    for (const char* end : {"scale_weight", "weight_scale", "scaled_fp8"})
      if (info.name.ends_with(end)) return info.name;
  }
  return "";
}

}  // namespace

at::ScalarType to_scalar_type(DType dtype) {
  const auto type = computable(dtype);
  if (!type)
    throw UserError(
        {"safetensors", cat("the type ", safetensors::name_of(dtype)), kComputableNames, "convert the tensor first"});
  return *type;
}

at::ScalarType type_of(const safetensors::Reader& reader, const safetensors::TensorInfo& info) {
  if (const auto type = computable(info.dtype)) return *type;
  std::string found = cat("the type ", safetensors::name_of(info.dtype)), hint = "convert the tensor first";
  if (safetensors::is_quantized(info.dtype)) {
    const std::string scale = scale_in(reader);
    found += scale.empty() ? std::string(" of quantized weights")
                           : cat(" of quantized weights, which '", excerpt(scale), "' scales");
    hint = "take the model's file in bf16, fp16 or f32";
  }
  throw UserError({cat(reader.path().string(), ": tensor '", excerpt(info.name), "'"), found, kComputableNames, hint});
}

DType to_dtype(at::ScalarType type) {
  const auto found = std::ranges::find(kComputable, type, &std::pair<DType, at::ScalarType>::second);
  if (found == kComputable.end())
    throw UserError(
        {"safetensors", cat("the type ", at::toString(type)), kComputableNames, "convert the tensor first"});
  return found->first;
}

at::Tensor read_tensor(const safetensors::Reader& reader, const safetensors::TensorInfo& info) {
  const auto bytes = reader.bytes(info);
  const auto options = at::TensorOptions().dtype(type_of(reader, info));
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
  return begin_tensor_hash(flat.scalar_type(), flat.sizes()).update(bytes.data(), bytes.size()).digest();
}

Hasher begin_tensor_hash(at::ScalarType type, at::IntArrayRef shape) {
  Hasher hasher;
  hasher.update(cat(at::toString(type), shape_string(shape.vec())));
  return hasher;
}

}  // namespace rehyat
