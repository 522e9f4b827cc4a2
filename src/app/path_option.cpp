#include "app/path_option.h"

#include <string>

#include "config/user_path.h"
#include "core/error.h"

namespace rehyat::app {

CLI::Validator user_path_option() {
  return CLI::Validator(
      [](std::string& text) {
        try {
          text = config::user_path(text, "").string();
          return std::string();
        } catch (const UserError& error) {
          return std::string(error.what());  // the parser puts the option's name before it
        }
      },
      "");
}

}  // namespace rehyat::app
