#include "models/text_memory.h"

namespace rehyat::models {

void TextMemory::begin(const at::Tensor& text, at::ScalarType compute) {
  if (text.is_same(text_) && compute == compute_) return;
  *this = {};
  text_ = text;
  compute_ = compute;
}

const at::Tensor& TextMemory::words(const std::function<at::Tensor()>& make) {
  if (!words_.defined()) words_ = make();
  return words_;
}

const TextKeys& TextMemory::keys(std::int64_t block, const std::function<TextKeys()>& make) {
  const auto held = keys_.find(block);
  return held != keys_.end() ? held->second : keys_.emplace(block, make()).first->second;
}

std::int64_t TextMemory::bytes() const {
  auto total = words_.defined() ? static_cast<std::int64_t>(words_.nbytes()) : 0;
  for (const auto& [block, keys] : keys_) total += static_cast<std::int64_t>(keys.k.nbytes() + keys.v.nbytes());
  return total;
}

}  // namespace rehyat::models
