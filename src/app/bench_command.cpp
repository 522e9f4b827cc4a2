#include <memory>

#include "app/bench_options.h"
#include "app/command.h"

namespace rehyat::app {
namespace {

void run_bench(const Context& context, const BenchOptions& options) {
  options.check();
  require(context.world.size() == 1,
          [] { return "[bench] found several ranks, expected one; start it without mpirun"; });
  const evaluate::BenchMode mode = options.mode();
  const evaluate::BenchRequest request = options.request(context.families);
  request.subject.architecture(context.families);  // refuses what cannot be before anything is measured
  const evaluate::Ceilings ceilings = evaluate::measure_ceilings(request.subject.device, request.subject.compute);
  const evaluate::BenchResult result = mode.run(request, context.families, ceilings);
  context.result(evaluate::to_json(mode, request, ceilings, result),
                 evaluate::to_text(mode, request, ceilings, result));
}

}  // namespace

Command bench_command() {
  Command command;
  command.name = "bench";
  command.summary =
      "time, memory and rates of the parts of a model and of the stages' work, by default at the size of Wan2.1 1.3B "
      "with arbitrary weights";
  command.example =
      "rehyat bench forward --attention rehyat --tc 3 --to 1 --precision bf16\n"
      "  rehyat bench step --attention rehyat --converted 15 --frames 81 --height 480 --width 832";
  const auto options = std::make_shared<BenchOptions>();
  command.declare = [options](CLI::App& app) { options->declare(app); };
  command.run = [options](const Context& context) { run_bench(context, *options); };
  return command;
}

}  // namespace rehyat::app
