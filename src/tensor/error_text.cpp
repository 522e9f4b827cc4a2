#include "tensor/error_text.h"

#include <c10/util/Exception.h>

#include <new>

namespace rehyat {

std::string message_of(const std::exception& error) {
  std::string text = error.what();
  if (const auto* torch = dynamic_cast<const c10::Error*>(&error)) text = torch->what_without_backtrace();
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr)
    text = "found too little memory, expected more; use smaller sizes or fewer ranks on this machine";
  // Some of libtorch's messages carry the trace in their text.
  for (const char* mark : {"\nException raised from", "\nCUDA kernel errors might", "\nframe #"})
    text = text.substr(0, text.find(mark));
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  for (char& c : text) c = c == '\n' ? ' ' : c;
  return text.empty() ? "an error without a message" : text;
}

}  // namespace rehyat
