#pragma once

#include <filesystem>
#include <memory>

#include "tensor/tensor_source.h"

namespace rehyat {

/// The tensors of a file of torch.save: a state dict, or a dict that holds one as 'state_dict' or 'model'.
/// Memory-mapped views with the strides of the file; a storage's checksum is verified when its first tensor is read.
/// Nothing of the file is run (tensor/pickle_values.h). Throws UserError when the file is no such archive, is of torch
/// before 1.6, names anything but tensors and plain data, is damaged, or has a tensor that reaches beyond its storage.
std::unique_ptr<TensorSource> open_pth(const std::filesystem::path& path);

}  // namespace rehyat
