#pragma once

// What nearly every source that sees libtorch includes. torch/torch.h would bring optimizers, data loaders and all
// layers, which nobody here uses and each unit would pay for.
#include <ATen/ATen.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>
