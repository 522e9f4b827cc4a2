#include "evaluate/verify_result.h"

#include <algorithm>
#include <cmath>

#include "core/strings.h"
#include "core/table.h"
#include "core/units.h"

namespace rehyat::evaluate {
namespace {

std::string error_text(const std::optional<double>& value) {
  if (!value) return "-";
  return human_number(*value, 3);
}

void add_reason(config::Fields& f, const char* name, std::optional<std::string>& reason) {
  f.add(name, reason, "why it was left out").only("where it was left out", [&reason] { return reason.has_value(); });
}

}  // namespace

void FormErrors::fields(config::Fields& f) {
  f.add("tc", tc, "slices a chunk");
  f.add("to", to, "slices of overlap");
  f.add("own", own, "whether it is the checkpoint's pattern");
  f.add("slices", slices, "of the latent");
  f.add("chunked_vs_reference", chunked_vs_reference, "largest relative error");
  f.add("recurrent_vs_parallel", recurrent_vs_parallel, "largest relative error");
  f.add("chunk_by_chunk_vs_parallel", chunk_by_chunk_vs_parallel, "largest relative error");
}

void NotApplicable::fields(config::Fields& f) {
  add_reason(f, "recurrent_vs_parallel", recurrent_vs_parallel);
  add_reason(f, "chunk_by_chunk_vs_parallel", chunk_by_chunk_vs_parallel);
  add_reason(f, "other patterns", other_patterns);
}

void VerifyResult::fields(config::Fields& f) {
  f.add("max_rel_error", max_rel_error, "of all comparisons");
  f.add("reload_equal", reload_equal, "saved and read again, the model is the same");
  f.add("latent", latent, "T, H, W");
  f.list("forms", forms, "the patterns");
  f.section("not_applicable", not_applicable, "what was left out");
  f.add("finite", finite, "no error is NaN or infinite");
  f.add("model", model, "what was checked");
  f.add("tolerance", tolerance, "largest error that passes");
}

double VerifyResult::take(double error) {
  const bool good = std::isfinite(error);
  finite = finite && good;
  max_rel_error = good ? std::max(max_rel_error, error) : kLargest;
  return good ? error : kLargest;
}

std::string VerifyResult::complaint() const {
  if (!finite)
    return cat("found NaN or infinite values, or a model that differs after reading back, expected a largest relative ",
               "error of at most ", tolerance);
  if (max_rel_error > tolerance)
    return cat("found a largest relative error of ", max_rel_error, ", expected at most ", tolerance);
  return "";
}

std::string VerifyResult::text() const {
  TextTable table(
      {{"Tc,To"}, {"chunked/reference", true}, {"recurrent/chunked", true}, {"chunk by chunk/chunked", true}});
  for (const FormErrors& row : forms) {
    std::string name = row.tc ? cat(*row.tc, ",", row.to.value_or(0)) : std::string("as in the model");
    if (row.own && row.tc) name += " (the model's own)";
    table.row({name, error_text(row.chunked_vs_reference), error_text(row.recurrent_vs_parallel),
               error_text(row.chunk_by_chunk_vs_parallel)});
  }
  std::string out =
      cat(model, ": largest relative error ", error_text(max_rel_error), ", at most ", error_text(tolerance),
          " passes; saved and read again: ", reload_equal ? "the same" : "DIFFERENT", "\n\n", table.text());
  const auto left_out = [&](const char* name, const std::optional<std::string>& reason) {
    if (reason) out += cat("not applicable: ", name, ": ", *reason, "\n");
  };
  left_out("recurrent_vs_parallel", not_applicable.recurrent_vs_parallel);
  left_out("chunk_by_chunk_vs_parallel", not_applicable.chunk_by_chunk_vs_parallel);
  left_out("other patterns", not_applicable.other_patterns);
  return out;
}

}  // namespace rehyat::evaluate
