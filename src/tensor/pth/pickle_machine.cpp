#include <array>
#include <bit>
#include <set>
#include <string_view>

#include "core/error.h"
#include "core/strings.h"
#include "tensor/pth/pickle_stack.h"

// Instructions as numbered in Python's pickletools.
namespace rehyat::pickle {
namespace {

constexpr std::int64_t kHighestRank = 64;
constexpr const char* kDict = "collections OrderedDict";
constexpr const char* kTensor = "torch._utils _rebuild_tensor_v2";
constexpr const char* kParameter = "torch._utils _rebuild_parameter";

struct StorageName {
  std::string_view name;
  at::ScalarType type;
};
constexpr std::array<StorageName, 10> kStorages = {{{"torch FloatStorage", at::kFloat},
                                                    {"torch DoubleStorage", at::kDouble},
                                                    {"torch HalfStorage", at::kHalf},
                                                    {"torch BFloat16Storage", at::kBFloat16},
                                                    {"torch LongStorage", at::kLong},
                                                    {"torch IntStorage", at::kInt},
                                                    {"torch ShortStorage", at::kShort},
                                                    {"torch CharStorage", at::kChar},
                                                    {"torch ByteStorage", at::kByte},
                                                    {"torch BoolStorage", at::kBool}}};

const StorageName* find_storage(std::string_view name) {
  for (const StorageName& storage : kStorages) {
    if (storage.name == name) return &storage;
  }
  return nullptr;
}

class Machine : private Stack {
 public:
  using Stack::Stack;

  Values run() {
    check(program_.size() <= kLargestProgram,
          [&] { return cat("a program of ", program_.size(), " bytes, expected at most ", kLargestProgram); });
    while (!done_) {
      start_ = at_;
      step(byte());
    }
    check(stack_.size() == 1 && marks_.empty(), [] { return "an unfinished value, expected one whole value"; });
    values_.root = stack_.back();
    return std::move(values_);
  }

 private:
  void step(std::uint8_t code);
  bool number_step(std::uint8_t code);
  bool container_step(std::uint8_t code);
  bool memo_step(std::uint8_t code);
  void long_integer();
  void global(std::string_view module, std::string_view name);
  void call();
  void make_dict(const std::vector<Index>& arguments);
  void make_tensor(const std::vector<Index>& arguments);
  void storage();
  void set_items(const std::vector<Index>& items);
  std::int64_t integer(Index index);
  std::vector<std::int64_t> integers(Index index);
  void remember(std::uint64_t place);
  void recall(std::uint64_t place);

  std::map<std::uint64_t, Index> memo_;
};

bool Machine::number_step(std::uint8_t code) {
  switch (code) {
    case 'N':
      push_kind(Kind::none);
      return true;
    case 0x88:  // NEWTRUE, NEWFALSE
    case 0x89:
      push_integer(Kind::boolean, code == 0x88);
      return true;
    case 'J':
      push_integer(Kind::integer, number<std::int32_t>());
      return true;
    case 'K':
      push_integer(Kind::integer, byte());
      return true;
    case 'M':
      push_integer(Kind::integer, number<std::uint16_t>());
      return true;
    case 0x8A:
      long_integer();
      return true;
    case 'G': {
      std::uint64_t bits = 0;  // big-endian, alone in the format
      for (const char c : bytes(8)) bits = bits << 8 | static_cast<std::uint8_t>(c);
      Value real;
      real.kind = Kind::real;
      real.real = std::bit_cast<double>(bits);
      push_new(std::move(real));
      return true;
    }
    case 'X':
    case 'T':  // the same of Python 2
      push_text(bytes(number<std::uint32_t>()));
      return true;
    case 0x8C:
    case 'U':
      push_text(bytes(byte()));
      return true;
    case 0x8D:
      push_text(bytes(number<std::uint64_t>()));
      return true;
    default:
      return false;
  }
}

bool Machine::container_step(std::uint8_t code) {
  switch (code) {
    case '(':
      marks_.push_back(stack_.size());
      return true;
    case ')':
      push_kind(Kind::tuple);
      return true;
    case ']':
      push_kind(Kind::list);
      return true;
    case '}':
      push_kind(Kind::dict);
      return true;
    case 't':
      push_tuple(pop_to_mark());
      return true;
    case 0x85:  // TUPLE1 to TUPLE3
    case 0x86:
    case 0x87:
      short_tuple(code - 0x84u);
      return true;
    case 'a':
    case 'e': {
      const std::vector<Index> items = code == 'e' ? pop_to_mark() : std::vector<Index>{pop()};
      const Index list = top();
      check(value(list).kind == Kind::list, [] { return "an item for something that is no list"; });
      value(list).items.insert(value(list).items.end(), items.begin(), items.end());
      return true;
    }
    case 's': {
      const Index item = pop(), key = pop();
      set_items({key, item});
      return true;
    }
    case 'u':
      set_items(pop_to_mark());
      return true;
    default:
      return false;
  }
}

bool Machine::memo_step(std::uint8_t code) {
  switch (code) {
    case 'q':
      remember(byte());
      return true;
    case 'r':
      remember(number<std::uint32_t>());
      return true;
    case 0x94:
      remember(memo_.size());
      return true;
    case 'h':
      recall(byte());
      return true;
    case 'j':
      recall(number<std::uint32_t>());
      return true;
    default:
      return false;
  }
}

void Machine::step(std::uint8_t code) {
  if (number_step(code) || container_step(code) || memo_step(code)) return;
  switch (code) {
    case 0x80: {
      const std::uint8_t protocol = byte();
      check(protocol >= 2 && protocol <= 5, [&] { return cat("protocol ", int{protocol}, ", expected 2 to 5"); });
      return;
    }
    case 0x95:  // FRAME: a hint for reading ahead
      bytes(8);
      return;
    case '0':
      pop();
      return;
    case '1':
      pop_to_mark();
      return;
    case 'c': {
      const std::string_view module = line();
      global(module, line());
      return;
    }
    case 0x93: {
      const Index name = pop(), module = pop();
      check(value(name).kind == Kind::text && value(module).kind == Kind::text,
            [] { return "a name that is no text"; });
      const std::string module_text = value(module).text, name_text = value(name).text;
      global(module_text, name_text);
      return;
    }
    case 'R':
      call();
      return;
    case 'Q':
      storage();
      return;
    case 'b': {
      // Only what torch adds to a state dict: attributes of the dict itself, such as its _metadata.
      const Index state = pop(), object = top();
      check(value(object).kind == Kind::dict && value(state).kind == Kind::dict, [] {
        return "an instruction that sets the inside of an object, expected only tensors and plain data; nothing of "
               "the file was run";
      });
      return;
    }
    case '.':
      done_ = true;
      return;
    default:
      check(false, [&] {
        return cat("the instruction ", int{code},
                   ", expected only those that build tensors and plain data; nothing of the file was run");
      });
  }
}

void Machine::long_integer() {
  const std::string_view digits = bytes(byte());
  check(digits.size() <= 8, [&] { return cat("a whole number of ", digits.size(), " bytes, expected at most 8"); });
  std::uint64_t bits = !digits.empty() && (digits.back() & 0x80) ? ~std::uint64_t{0} : 0;
  for (std::size_t i = digits.size(); i > 0; --i) bits = bits << 8 | static_cast<std::uint8_t>(digits[i - 1]);
  push_integer(Kind::integer, static_cast<std::int64_t>(bits));
}

void Machine::global(std::string_view module, std::string_view name) {
  Value global;
  global.kind = Kind::global;
  global.text = cat(module, ' ', name);
  check(global.text == kDict || global.text == kTensor || global.text == kParameter || find_storage(global.text), [&] {
    return cat("the name ", excerpt(module), '.', excerpt(name),
               ", expected only names of tensors and plain data; nothing of the file was run: do not trust it, or have "
               "its owner save it as safetensors");
  });
  push_new(std::move(global));
}

void Machine::call() {
  const Index arguments = pop(), function = pop();
  check(value(arguments).kind == Kind::tuple && value(function).kind == Kind::global,
        [] { return "a call of something that is no function; nothing of the file was run"; });
  const std::vector<Index> items = value(arguments).items;
  if (value(function).text == kDict) {
    make_dict(items);
  } else if (value(function).text == kTensor) {
    make_tensor(items);
  } else {
    check(value(function).text == kParameter && items.size() == 3 && value(items[0]).kind == Kind::tensor, [&] {
      return cat("a call of ", excerpt(value(function).text), " that makes no tensor; nothing of the file was run");
    });
    push(items[0]);
  }
}

void Machine::make_dict(const std::vector<Index>& arguments) {
  Value dict;
  dict.kind = Kind::dict;
  bool pairs = arguments.empty() || (arguments.size() == 1 && value(arguments[0]).kind == Kind::list);
  if (pairs && !arguments.empty()) {
    for (const Index item : value(arguments[0]).items) {
      const Value& pair = value(item);
      pairs = pairs && (pair.kind == Kind::list || pair.kind == Kind::tuple) && pair.items.size() == 2;
      if (pairs) dict.pairs.emplace_back(pair.items[0], pair.items[1]);
    }
  }
  check(pairs, [] { return "an OrderedDict of something else than pairs"; });
  push_new(std::move(dict));
}

std::int64_t Machine::integer(Index index) {
  check(value(index).kind == Kind::integer && value(index).integer >= 0,
        [] { return "a tensor whose place or size is no whole number >= 0"; });
  return value(index).integer;
}

std::vector<std::int64_t> Machine::integers(Index index) {
  const Value tuple = value(index);
  check(tuple.kind == Kind::tuple && tuple.items.size() <= kHighestRank,
        [] { return cat("a tensor whose shape is no tuple of at most ", kHighestRank, " numbers"); });
  std::vector<std::int64_t> out;
  for (const Index item : tuple.items) out.push_back(integer(item));
  return out;
}

void Machine::make_tensor(const std::vector<Index>& arguments) {
  check((arguments.size() == 6 || arguments.size() == 7) && value(arguments[0]).kind == Kind::storage &&
            value(arguments[5]).kind == Kind::dict,
        [] { return "a tensor made of something else than a storage, offset, shape and strides"; });
  Tensor tensor;
  tensor.storage = values_.storages[value(arguments[0]).payload];
  tensor.offset = integer(arguments[1]);
  tensor.shape = integers(arguments[2]);
  tensor.strides = integers(arguments[3]);
  check(tensor.shape.size() == tensor.strides.size(),
        [&] { return cat(tensor.shape.size(), " sizes and ", tensor.strides.size(), " strides of one tensor"); });
  // Metadata marks lazily negated or conjugated values, which a plain view would show wrong.
  check(arguments.size() == 6 || value(arguments[6]).kind == Kind::none ||
            (value(arguments[6]).kind == Kind::dict && value(arguments[6]).pairs.empty()),
        [] { return "a tensor with metadata, expected plain values; save it again after .resolve_neg()"; });
  Value out;
  out.kind = Kind::tensor;
  out.payload = static_cast<Index>(values_.tensors.size());
  values_.tensors.push_back(std::move(tensor));
  push_new(std::move(out));
}

void Machine::storage() {
  const std::vector<Index> items = value(top()).items;
  check(value(top()).kind == Kind::tuple && items.size() == 5 && value(items[0]).kind == Kind::text &&
            value(items[0]).text == "storage" && value(items[1]).kind == Kind::global &&
            find_storage(value(items[1]).text) && value(items[2]).kind == Kind::text,
        [] { return "a reference that is no storage of numbers"; });
  pop();
  Value out;
  out.kind = Kind::storage;
  out.payload = static_cast<Index>(values_.storages.size());
  values_.storages.push_back({value(items[2]).text, find_storage(value(items[1]).text)->type, integer(items[4])});
  push_new(std::move(out));
}

void Machine::set_items(const std::vector<Index>& items) {
  const Index dict = top();
  check(value(dict).kind == Kind::dict && items.size() % 2 == 0,
        [] { return "a key and value for something that is no dict"; });
  for (std::size_t i = 0; i < items.size(); i += 2) value(dict).pairs.emplace_back(items[i], items[i + 1]);
}

void Machine::remember(std::uint64_t place) {
  memo_[place] = top();
}

void Machine::recall(std::uint64_t place) {
  const auto found = memo_.find(place);
  check(found != memo_.end(), [&] { return cat("a reference to value ", place, ", which does not exist"); });
  push(found->second);
}

}  // namespace

Values read(std::span<const std::byte> program, const std::string& where) {
  return Machine(program, where).run();
}

}  // namespace rehyat::pickle
