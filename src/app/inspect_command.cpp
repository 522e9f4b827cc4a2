#include <memory>

#include "app/command.h"
#include "app/path_option.h"
#include "core/readable.h"
#include "core/strings.h"
#include "inspect/files.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;

/// A report of each path, also where another one cannot be inspected.
void inspect_all(const Context& context, const std::vector<std::string>& paths) {
  json reports = json::array();
  std::string text, first_mistake;
  std::size_t mistakes = 0;
  for (const std::string& path : paths) {
    text += cat(text.empty() ? "" : "\n\n", path, '\n');
    try {
      const json report = inspect::inspect_path(path);
      reports.push_back({{"path", path}, {"report", report}});
      text += readable(report);
    } catch (const UserError& error) {
      reports.push_back({{"path", path}, {"error", error.what()}});
      text += error.what();
      if (mistakes++ == 0) first_mistake = error.what();
    }
  }
  context.result({{"reports", reports}}, text);
  require(mistakes == 0, [&] {
    return cat("inspect: found ", mistakes, " of ", paths.size(),
               " paths that cannot be inspected; the first: ", first_mistake);
  });
}

}  // namespace

Command inspect_command() {
  Command command;
  command.name = "inspect";
  command.summary = "say what files or folders of ours hold, checking them on the way";
  command.example =
      "rehyat inspect runs/demo\n"
      "  rehyat inspect runs/demo/distill/phi-00000.safetensors --json\n"
      "  rehyat inspect runs/demo/*/stage.json";
  const auto paths = std::make_shared<std::vector<std::string>>();
  command.declare = [paths](CLI::App& app) {
    app.add_option("path", *paths, "files or folders; --json gives one report, or {\"reports\": [...]} of several")
        ->required()
        ->transform(user_path_option());
  };
  command.run = [paths](const Context& context) {
    if (context.world.rank() != 0) return;  // reading is for one
    if (paths->size() > 1) return inspect_all(context, *paths);
    const json report = inspect::inspect_path(paths->front());
    context.result(report, readable(report));
  };
  return command;
}

}  // namespace rehyat::app
