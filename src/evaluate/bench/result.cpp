#include "core/strings.h"
#include "core/table.h"
#include "core/units.h"
#include "evaluate/bench/mode.h"

namespace rehyat::evaluate {
namespace {

using json = nlohmann::ordered_json;

json counted(double value) {
  return value > 0 ? json(value) : json(nullptr);
}

/// Rates and shares of one row; 0 where the work was not counted.
struct Rates {
  double tflop_per_s, bytes_per_s, share_of_matmul, share_of_copy, mfu, to_floor;

  Rates(const BenchRequest& request, const Ceilings& ceilings, const Measure& row) {
    const double time = row.median(), peak = request.peak_tflop_per_s;
    tflop_per_s = row.work.tflop / time;
    bytes_per_s = row.work.bytes / time;
    share_of_matmul = (row.work.tflop + row.work.run_again) / time / ceilings.tflop_per_s;
    share_of_copy = bytes_per_s / ceilings.bytes_per_s;
    mfu = tflop_per_s / (peak > 0 ? peak : ceilings.tflop_per_s);
    to_floor = row.least_seconds > 0 ? time / row.least_seconds : 0;
  }
};

json row_json(const BenchRequest& request, const Ceilings& ceilings, const Measure& row) {
  const Rates rates(request, ceilings, row);
  json out = {{"name", row.name},
              {"seconds_median", row.median()},
              {"seconds_min", row.seconds.front()},
              {"seconds_max", row.seconds.back()},
              {"peak_bytes", row.peak_bytes},
              {"tflop", counted(row.work.tflop)},
              {"tflop_per_s", counted(rates.tflop_per_s)},
              {"bytes", counted(row.work.bytes)},
              {"bytes_per_s", counted(rates.bytes_per_s)},
              {"share_of_matmul", counted(rates.share_of_matmul)},
              {"share_of_copy", counted(rates.share_of_copy)},
              {"mfu", counted(rates.mfu)},
              {"floor_seconds", counted(row.least_seconds)},
              {"to_floor", counted(rates.to_floor)}};
  out.update(row.own);
  return out;
}

/// "3.45 ms".
std::string short_time(double seconds) {
  if (seconds < 1e-3) return human_number(seconds * 1e6, 3) + " us";
  return seconds < 1 ? human_number(seconds * 1e3, 3) + " ms" : human_number(seconds, 4) + " s";
}

std::string share_text(double share) {
  return share > 0 ? human_share(share) : "-";
}

TextTable table_of(const BenchRequest& request, const Ceilings& ceilings, const BenchResult& result) {
  TextTable table({{""},
                   {"median", true},
                   {"least", true},
                   {"most", true},
                   {"products a second", true},
                   {"of matmul", true},
                   {"MFU", true},
                   {"of copy", true},
                   {"to floor", true},
                   {"peak memory", true},
                   {""}});
  for (const Measure& row : result.rows) {
    const Rates rates(request, ceilings, row);
    table.row({row.name, short_time(row.median()), short_time(row.seconds.front()), short_time(row.seconds.back()),
               row.work.tflop > 0 ? human_flop(rates.tflop_per_s) : "-", share_text(rates.share_of_matmul),
               share_text(rates.mfu), share_text(rates.share_of_copy),
               rates.to_floor > 0 ? human_number(rates.to_floor, 3) : "-", human_bytes(row.peak_bytes), row.note});
  }
  return table;
}

}  // namespace

json to_json(const BenchMode& mode, const BenchRequest& request, const Ceilings& ceilings, const BenchResult& result) {
  json out = {{"bench", mode.name}};
  out.update(to_json(request.subject));
  if (!result.attention.empty()) out["attention"] = result.attention;
  out.update(result.own);
  out.update({{"warmup", request.warmup},
              {"repeats", request.repeats},
              {"ceilings", {{"tflop_per_s", ceilings.tflop_per_s}, {"bytes_per_s", ceilings.bytes_per_s}}},
              {"peak_tflop_per_s", request.peak_tflop_per_s > 0 ? request.peak_tflop_per_s : ceilings.tflop_per_s}});
  out["rows"] = json::array();
  for (const Measure& row : result.rows) out["rows"].push_back(row_json(request, ceilings, row));
  return out;
}

std::string to_text(const BenchMode& mode, const BenchRequest& request, const Ceilings& ceilings,
                    const BenchResult& result) {
  std::string title = mode.name;
  if (!result.attention.empty()) title.append(", ").append(result.attention);
  TextList list;
  for (const auto& [name, value] : result.notes) list.add(name, value);
  list.add("ceilings", cat(human_flop(ceilings.tflop_per_s), "/s of products, ",
                           human_bytes(static_cast<std::int64_t>(ceilings.bytes_per_s)), "/s copied, measured here"));
  return cat(title, ", ", to_text(request.subject), ", ", request.repeats, " repeats after ", request.warmup, "\n",
             table_of(request, ceilings, result).text("  "), list.text("  "));
}

}  // namespace rehyat::evaluate
