#pragma once

#include <cstring>
#include <map>
#include <string_view>

#include "core/error.h"
#include "core/strings.h"
#include "tensor/pth/pickle_values.h"

namespace rehyat::pickle {

inline constexpr std::size_t kLargestProgram = std::size_t{16} << 20, kMostValues = std::size_t{4} << 20;

/// What a pickle's machine stands on: the program and the place in it, the values that exist, and the stack with its
/// marks. Every access is checked; a failure is a UserError with the byte of the instruction.
class Stack {
 public:
  /// `where` names the file and entry in messages.
  Stack(std::span<const std::byte> program, const std::string& where) : program_(program), where_(where) {}

 protected:
  template <typename Found>
  void check(bool condition, Found&& found) const {
    require(condition, [&] { return cat(where_, ", byte ", start_, ": found ", found()); });
  }
  std::string_view bytes(std::uint64_t count) {
    check(count <= program_.size() - at_,
          [] { return "its end inside an instruction, expected more; the file is cut off"; });
    const std::string_view out(reinterpret_cast<const char*>(program_.data()) + at_, count);
    at_ += count;
    return out;
  }
  std::uint8_t byte() { return static_cast<std::uint8_t>(bytes(1)[0]); }
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, bytes(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view line() {
    const std::string_view rest(reinterpret_cast<const char*>(program_.data()) + at_, program_.size() - at_);
    const std::size_t length = rest.find('\n');
    check(length != std::string_view::npos, [] { return "a name without an end; the file is cut off"; });
    return bytes(length + 1).substr(0, length);
  }

  Value& value(Index index) { return values_.all[index]; }
  Index add(Value value) {
    check(values_.all.size() < kMostValues, [] { return cat("more than ", kMostValues, " values"); });
    values_.all.push_back(std::move(value));
    return static_cast<Index>(values_.all.size() - 1);
  }
  void push(Index index) { stack_.push_back(index); }
  void push_new(Value value) { push(add(std::move(value))); }
  void push_integer(Kind kind, std::int64_t number) {
    Value value;
    value.kind = kind;
    value.integer = number;
    push_new(std::move(value));
  }
  void push_kind(Kind kind) { push_integer(kind, 0); }
  void push_text(std::string_view text) {
    Value value;
    value.kind = Kind::text;
    value.text = text;
    push_new(std::move(value));
  }
  Index top() const {
    check(stack_.size() > (marks_.empty() ? 0 : marks_.back()), [] { return "an instruction that lacks its operand"; });
    return stack_.back();
  }
  Index pop() {
    const Index index = top();
    stack_.pop_back();
    return index;
  }
  std::vector<Index> pop_to_mark() {
    check(!marks_.empty(), [] { return "an instruction that lacks its mark"; });
    std::vector<Index> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  void push_tuple(std::vector<Index> items) {
    Value tuple;
    tuple.kind = Kind::tuple;
    tuple.items = std::move(items);
    push_new(std::move(tuple));
  }
  void short_tuple(std::size_t count) {
    std::vector<Index> items(count);
    for (std::size_t i = count; i > 0; --i) items[i - 1] = pop();
    push_tuple(std::move(items));
  }

  std::span<const std::byte> program_;
  std::string where_;
  std::size_t at_ = 0, start_ = 0;  ///< the next byte; the first one of this instruction
  bool done_ = false;
  Values values_;
  std::vector<Index> stack_;
  std::vector<std::size_t> marks_;
};

}  // namespace rehyat::pickle
