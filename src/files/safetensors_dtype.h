#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace rehyat::safetensors {

/// The types of the format. Those from f8_e4m3 on hold quantized weights: they are listed and copied, never computed
/// in.
enum class DType {
  f64,
  f32,
  f16,
  bf16,
  i64,
  i32,
  i16,
  i8,
  u8,
  boolean,
  u64,
  u32,
  u16,
  c64,
  f8_e4m3,
  f8_e5m2,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  f6_e2m3,
  f6_e3m2,
  f4
};

std::size_t bits_of(DType dtype);
/// Bytes of one value; a value of the types below 8 bits counts as one.
std::size_t size_of(DType dtype);
std::string_view name_of(DType dtype);  ///< as in the format: "F32", "BF16", …
std::optional<DType> dtype_named(std::string_view name);
bool is_quantized(DType dtype);

/// Bytes of a tensor; nothing where they overflow 64 bits, an extent is negative, or its bits fill no whole bytes.
std::optional<std::uint64_t> byte_count(const std::vector<std::int64_t>& shape, DType dtype);

}  // namespace rehyat::safetensors
