#pragma once

#include <ATen/ATen.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/hash.h"
#include "files/safetensors.h"

/// libtorch tensors to and from safetensors files.
namespace rehyat {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Throws UserError for the types that nothing is computed in: unsigned ones above 8 bits, complex and quantized ones.
at::ScalarType to_scalar_type(safetensors::DType dtype);
/// The same of a tensor in a file, with path, tensor and the reason.
at::ScalarType type_of(const safetensors::Reader& reader, const safetensors::TensorInfo& info);
safetensors::DType to_dtype(at::ScalarType type);  ///< throws UserError for types that the format lacks

/// A view of the mapped file where possible (it keeps the mapping alive); never write to it.
at::Tensor read_tensor(const safetensors::Reader& reader, const safetensors::TensorInfo& info);
/// Throws UserError with path, tensor, found and expected when the tensor is missing or has another shape.
at::Tensor read_tensor(const safetensors::Reader& reader, std::string_view name, at::IntArrayRef shape);
/// Throws UserError with path, tensor and the number of bad values if one is NaN or infinite.
void require_finite(const at::Tensor& tensor, const std::string& where);

/// Writes tensors, converted to `type` where one is given. Only one tensor at a time is copied, so that a model that
/// fills the memory can be written. Throws UserError where a finite value does not fit the type.
void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                   const safetensors::Metadata& metadata = {}, std::optional<at::ScalarType> type = std::nullopt);
/// Checksum of dtype, shape and values.
std::string hash_tensor(const at::Tensor& tensor);
/// What that checksum begins with: the values, dense, are left to hash.
Hasher begin_tensor_hash(at::ScalarType type, at::IntArrayRef shape);

}  // namespace rehyat
