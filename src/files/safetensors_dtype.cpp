#include "files/safetensors_dtype.h"

#include <algorithm>
#include <array>

namespace rehyat::safetensors {
namespace {

struct DTypeRow {
  DType dtype;
  std::string_view name;
  std::size_t bits;
};

/// In the order of the enumeration.
constexpr std::array kDTypes = {
    DTypeRow{DType::f64, "F64", 64},
    DTypeRow{DType::f32, "F32", 32},
    DTypeRow{DType::f16, "F16", 16},
    DTypeRow{DType::bf16, "BF16", 16},
    DTypeRow{DType::i64, "I64", 64},
    DTypeRow{DType::i32, "I32", 32},
    DTypeRow{DType::i16, "I16", 16},
    DTypeRow{DType::i8, "I8", 8},
    DTypeRow{DType::u8, "U8", 8},
    DTypeRow{DType::boolean, "BOOL", 8},
    DTypeRow{DType::u64, "U64", 64},
    DTypeRow{DType::u32, "U32", 32},
    DTypeRow{DType::u16, "U16", 16},
    DTypeRow{DType::c64, "C64", 64},
    DTypeRow{DType::f8_e4m3, "F8_E4M3", 8},
    DTypeRow{DType::f8_e5m2, "F8_E5M2", 8},
    DTypeRow{DType::f8_e8m0, "F8_E8M0", 8},
    DTypeRow{DType::f8_e4m3fnuz, "F8_E4M3FNUZ", 8},
    DTypeRow{DType::f8_e5m2fnuz, "F8_E5M2FNUZ", 8},
    DTypeRow{DType::f6_e2m3, "F6_E2M3", 6},
    DTypeRow{DType::f6_e3m2, "F6_E3M2", 6},
    DTypeRow{DType::f4, "F4", 4},
};

const DTypeRow& row_of(DType dtype) {
  return kDTypes[static_cast<std::size_t>(dtype)];
}

}  // namespace

std::size_t bits_of(DType dtype) {
  return row_of(dtype).bits;
}

std::size_t size_of(DType dtype) {
  return (bits_of(dtype) + 7) / 8;
}

std::string_view name_of(DType dtype) {
  return row_of(dtype).name;
}

std::optional<DType> dtype_named(std::string_view name) {
  const auto found = std::ranges::find(kDTypes, name, &DTypeRow::name);
  return found == kDTypes.end() ? std::nullopt : std::optional(found->dtype);
}

bool is_quantized(DType dtype) {
  return dtype >= DType::f8_e4m3;
}

std::optional<std::uint64_t> byte_count(const std::vector<std::int64_t>& shape, DType dtype) {
  std::uint64_t values = 1, bits = 0;
  for (const std::int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(values, static_cast<std::uint64_t>(extent), &values)) return std::nullopt;
  }
  // Whole bytes apart, so that only sizes beyond 64 bits of bytes overflow.
  const std::uint64_t rest = values % 8 * bits_of(dtype);
  if (rest % 8 != 0 || __builtin_mul_overflow(values / 8, bits_of(dtype), &bits)) return std::nullopt;
  std::uint64_t bytes = 0;
  return __builtin_add_overflow(bits, rest / 8, &bytes) ? std::nullopt : std::optional(bytes);
}

}  // namespace rehyat::safetensors
