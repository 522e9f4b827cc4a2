#include "stages/published_model.h"

#include "core/error.h"
#include "core/strings.h"
#include "diffusion/scheduler_config.h"

namespace rehyat::stages {
namespace {

void add_part(config::Fields& f, const std::string& name, models::PartCost& part) {
  f.add(name + "_parameters", part.parameters, "of this part");
  f.add(name + "_macs_per_token", part.macs_per_token, "of each video token");
  f.add(name + "_macs_per_video", part.macs_per_video, "whatever the number of tokens");
}

void add_numbers(config::Fields& f, const std::string& name, models::HeldNumbers& numbers) {
  f.add(name + "_compute", numbers.compute, "numbers a token in the type of the matrix products");
  f.add(name + "_wide", numbers.wide, "numbers a token in float32");
}

PublishedModel read_published(const std::filesystem::path& weights, const models::ModelRegistry& families) {
  PublishedModel out;
  out.files = families.find(weights);
  out.architecture = families.read_architecture(out.files.transformer);
  if (!out.files.scheduler.empty()) out.sampler = diffusion::read_scheduler_config(out.files.scheduler);
  return out;
}

std::string sizes_of(const models::Architecture& a) {
  return cat(a.layers, " layers of width ", a.dim, " with ", a.heads, " heads");
}

void require_same(const models::Architecture& found, const models::PublishedArchitecture& expected,
                  const ModelConfig& model) {
  require(found == expected.architecture, [&] {
    return cat("model.weights: found ", sizes_of(found), " in ", model.weights.string(), ", expected ", expected.name,
               " (", sizes_of(expected.architecture), "), which model.published names; correct one of the two");
  });
}

/// The published model that the config means, whether by name or by the path of its weights.
std::optional<models::PublishedArchitecture> meant(const ModelConfig& model, const models::ModelRegistry& families) {
  if (!model.published.empty()) return families.published(model.published);
  return families.published_as(model.weights);
}

PublishedModel assume(const ModelConfig& model, const models::ModelRegistry& families) {
  const std::optional<models::PublishedArchitecture> named = meant(model, families);
  require(named.has_value(), [&] {
    return cat("model.weights: found no model at ", model.weights.string(), ", expected one; download it, or for ",
               "analyze and --dry-run name what it will be: model.published, one of ",
               join(families.published_names(), ", "));
  });
  PublishedModel out;
  out.architecture = named->architecture;
  out.assumed = named->name;
  out.encoders = named->encoders;
  out.missing = {model.weights.empty() ? std::string("the teacher (model.weights)")
                                       : cat("the teacher (model.weights, ", model.weights.string(), ")")};
  return out;
}

/// For a download that has brought the sizes and not yet the weights.
void add_missing_weights(PublishedModel& out, const ModelConfig& model, const models::ModelRegistry& families,
                         const InputNotes& notes) {
  const InputNotes::Input weights =
      weights_input(model, families.named(out.architecture.family), out.files.transformer);
  if (weights.there || notes.knows(weights)) return;
  out.missing = {cat("the teacher's weights (model.weights, ", out.files.transformer.string(), ")")};
  if (const auto named = meant(model, families); named && named->architecture == out.architecture)
    out.encoders = named->encoders;
}

bool is_there(const std::filesystem::path& weights) {
  std::error_code ignored;
  return std::filesystem::exists(weights, ignored) &&
         !(std::filesystem::is_directory(weights, ignored) && std::filesystem::is_empty(weights, ignored));
}

PublishedModel note_of(const nlohmann::ordered_json& said, const ModelConfig& model) {
  return config::from_json<PublishedModel>(said, cat("the note of ", model.weights.string()));
}

/// Encoders that lay with the weights once are gone, and not left out: without this, embedded ones would take their
/// place.
void add_lost_encoders(PublishedModel& found, const PublishedModel& before) {
  if (found.files.vae.empty()) found.files.vae = before.files.vae;
  if (found.files.text.empty()) found.files.text = before.files.text;
}

}  // namespace

void PublishedModel::fields(config::Fields& f) {
  f.add("transformer", files.transformer, "folder or file");
  f.add("vae", files.vae, "folder or file; empty: none");
  f.add("text", files.text, "folder of text encoder and tokenizer; empty: none");
  f.add("scheduler", files.scheduler, "a scheduler_config.json; empty: none");
  models::Architecture& a = architecture;
  f.add("family", a.family, "of the model");
  f.add("dim", a.dim, "of the residual stream");
  f.add("layers", a.layers, "blocks");
  f.add("heads", a.heads, "of each self-attention");
  f.add("text_width", a.text_width, "of an embedding");
  f.add("text_tokens", a.text_tokens, "of a prompt");
  f.add("channels", a.channels, "of the latent, in");
  f.add("out_channels", a.out_channels, "of the latent, out");
  f.add("patch_slices", a.patch[0], "latent slices of a token");
  f.add("patch_rows", a.patch[1], "latent rows of a token");
  f.add("patch_columns", a.patch[2], "latent columns of a token");
  f.add("text_numbers", a.text_numbers, "held of each text token");
  add_part(f, "block", a.block);
  add_part(f, "outside", a.outside);
  add_numbers(f, "saved_by_block", a.saved_by_block);
  add_numbers(f, "saved_outside", a.saved_outside);
  add_numbers(f, "backward_working", a.backward_working);
  f.section("sampler", sampler, "of the model's scheduler");
}

std::optional<PublishedModel> published_model(const ModelConfig& model, const models::ModelRegistry& families,
                                              InputNotes& notes, Purpose purpose) {
  if (!model.names_teacher()) return std::nullopt;
  const InputNotes::Input input{"model", full_path(model.weights), model.weights, is_there(model.weights)};
  const bool known = !model.weights.empty() && (families.has_architecture(model.weights) || notes.knows(input));
  if (purpose == Purpose::plan && !known) return assume(model, families);
  require(!model.weights.empty(), [&] {
    return cat("model.weights: found none beside model.published, expected the files of ", model.published,
               "; download them and name their folder: the name alone is enough for analyze and --dry-run only");
  });
  std::optional<PublishedModel> read;
  const auto said = notes.said(input, [&] {
    read = read_published(model.weights, families);
    if (notes.knows(input)) add_lost_encoders(*read, note_of(notes.noted(input), model));
    PublishedModel note = *read;
    for (std::filesystem::path* path :
         {&note.files.transformer, &note.files.vae, &note.files.text, &note.files.scheduler})
      *path = full_path(*path);
    return config::to_json(note);
  });
  PublishedModel out = read ? *read : note_of(said, model);
  if (!model.published.empty()) require_same(out.architecture, families.published(model.published), model);
  if (purpose == Purpose::plan) add_missing_weights(out, model, families, notes);
  return out;
}

InputNotes::Input weights_input(const ModelConfig& model, const models::ModelFamily& family,
                                const std::filesystem::path& transformer) {
  return {"weights", full_path(model.weights), transformer, family.is_whole(transformer)};
}

}  // namespace rehyat::stages
