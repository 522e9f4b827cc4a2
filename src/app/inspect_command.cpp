#include <memory>

#include "app/command.h"
#include "app/path_option.h"
#include "core/readable.h"
#include "inspect/files.h"

namespace rehyat::app {

Command inspect_command() {
  Command command;
  command.name = "inspect";
  command.summary = "say what a file or folder of ours holds, checking it on the way";
  command.example =
      "rehyat inspect runs/demo\n  rehyat inspect runs/demo/distill-1a2b3c4d/phi-00000.safetensors --json";
  const auto path = std::make_shared<std::string>();
  command.declare = [path](CLI::App& app) {
    app.add_option("path", *path, "file or folder")->required()->transform(user_path_option());
  };
  command.run = [path](const Context& context) {
    if (context.world.rank() != 0) return;  // reading is for one
    const nlohmann::ordered_json result = inspect::inspect_path(*path);
    context.result(result, readable(result));
  };
  return command;
}

}  // namespace rehyat::app
