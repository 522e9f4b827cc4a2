#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

/// Pickles that hold nothing but data. A pickle is a program for a stack machine, and Python's machine calls any
/// function that the program names. This one knows the instructions that build numbers, text, tuples, lists, dicts and
/// tensors, and a short list of names. It refuses everything else, and never calls or imports anything.
namespace rehyat::pickle {

/// A run of numbers in an entry of the archive.
struct Storage {
  std::string key;  ///< its entry is <archive>/data/<key>
  at::ScalarType type = at::kFloat;
  std::int64_t count = 0;  ///< in elements of `type`
};

/// The arguments of torch._utils._rebuild_tensor_v2. Only signs and ranks are checked here, not the storage's size.
struct Tensor {
  Storage storage;
  std::int64_t offset = 0;  ///< in elements
  std::vector<std::int64_t> shape, strides;
};

enum class Kind { none, boolean, integer, real, text, tuple, list, dict, global, storage, tensor };

/// Values refer to each other by their place in `Values`: a pickle may nest them a million deep or in a circle.
using Index = std::uint32_t;
struct Value {
  Kind kind = Kind::none;
  std::int64_t integer = 0;  ///< boolean and integer
  double real = 0;
  std::string text;                            ///< text; "module name" of a global
  std::vector<Index> items;                    ///< tuple and list
  std::vector<std::pair<Index, Index>> pairs;  ///< dict, in order, as written: keys may come again
  Index payload = 0;                           ///< place of a storage or tensor in `Values`
};

struct Values {
  std::vector<Value> all;
  std::vector<Storage> storages;
  std::vector<Tensor> tensors;
  Index root = 0;
};

/// Runs the program. `where` names the file and entry in messages. Throws UserError that names the refused instruction
/// or name and its byte.
Values read(std::span<const std::byte> program, const std::string& where);

}  // namespace rehyat::pickle
