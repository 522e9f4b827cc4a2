#include "report/report.h"

#include <algorithm>

#include "core/strings.h"
#include "report/markup.h"
#include "report/sections.h"
#include "report/style.h"

namespace rehyat::report {
namespace {

struct Section {
  const char* id;
  const char* headline;
  const char* in_plain_words;
  bool present;
  void (*write)(Markup&, const ReportData&);
};

std::vector<Section> sections(const ReportData& data) {
  std::vector<Section> all = {
      {"checks", "What was checked",
       "Each line is a statement that this run put to the test, what came out, and what was asked for.",
       !data.checks.empty(), checks_section},
      {"denoised", "What each model sees through noise",
       "A clip that no model was trained on was mixed with noise, the same for all. From that, its caption and the "
       "share of noise each model said in one step what is below it. The nearer to the clip, the better.",
       !data.denoised.empty(), denoised_section},
      {"videos", "Videos side by side",
       "In each row every model was given the same prompt and the same noise, so only the models differ. "
       "The frames are below each video, enlarged without smoothing. Squares of 16 pixels are the model's tokens: a "
       "small model that has trained for minutes gives each its colours, and hardly joins them to objects.",
       !data.comparisons.empty(), comparisons_section},
      {"losses", "How good the models are",
       "The mean squared error of what each model predicts for noisy videos that it was not trained on (flow "
       "matching), "
       "measured on the same points for each. Lower is better.",
       !data.losses.empty(), losses_section},
      {"errors", "How closely each block follows softmax attention",
       "The difference between a block's new attention and the softmax attention it replaces, as a share of the "
       "latter: with only the window of nearby frames, with the untrained summary of the older ones, and after "
       "distillation. Lower is better.",
       !data.errors.empty(), errors_section},
      {"curves", "Curves", "How the numbers moved. Point at a line to read its values.", !data.charts.empty(),
       charts_section},
      {"costs", "What it costs",
       "Arithmetic of one block and one pass, by counting (1 TFLOP = a million million operations): as the paper "
       "counts, and with a summary that is carried on instead of made anew. Then the memory that chunk-by-chunk "
       "generation keeps for a block whatever the video's length. A dash means: not defined for this attention.",
       !data.costs.empty(), costs_section},
      {"time", "Where the time went", "Each part of the run, what it took and what it was allowed.",
       !data.stages.empty(), stages_section},
      {"commands", "Do it again", "The commands that made this page.", !data.commands.empty(), commands_section},
      {"config", "Configuration", "Every setting of the run.", !data.config_yaml.empty(), config_section},
      {"environment", "Where it ran", "Versions and hardware.", !data.environment.empty(), environment_section},
  };
  std::erase_if(all, [](const Section& section) { return !section.present; });
  return all;
}

void head(Markup& page, const ReportData& data) {
  page.open("head").empty("meta", {{"charset", "utf-8"}});
  // The browser itself then refuses scripts and anything that is not inside this file.
  page.empty("meta", {{"http-equiv", "Content-Security-Policy"},
                      {"content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"}});
  page.empty("meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}});
  page.empty("meta", {{"name", "color-scheme"}, {"content", "light dark"}});
  page.element("title", {}, data.title).open("style").raw(style_sheet()).close().close();
}

void verdict(Markup& page, const ReportData& data) {
  if (data.checks.empty()) return;
  const auto count = [&](Check::State state) {
    return std::count_if(data.checks.begin(), data.checks.end(), [&](const Check& c) { return c.state == state; });
  };
  page.open("ul", {{"class", "verdict"}});
  const auto item = [&](const char* style, auto many, const char* word) {
    if (many == 0) return;
    page.open("li", {{"class", style}}).element("b", {}, cat(many)).text(word).close();
  };
  item("passed", count(Check::State::passed), "passed");
  item("missed", count(Check::State::missed), "missed");
  item("info", count(Check::State::info), "for information");
  page.close();
}

}  // namespace

std::string render_html(const ReportData& data) {
  const std::vector<Section> present = sections(data);
  Markup page;
  page.raw("<!DOCTYPE html>\n").open("html", {{"lang", "en"}});
  head(page, data);
  page.open("body").open("header").element("h1", {}, data.title);
  if (!data.subtitle.empty()) page.element("p", {{"class", "subtitle"}}, data.subtitle);
  std::vector<std::string> facts;
  if (!data.date.empty()) facts.push_back(data.date);
  if (!data.hardware.empty()) facts.push_back(data.hardware);
  if (!facts.empty()) page.element("p", {{"class", "facts"}}, join(facts, " · "));
  verdict(page, data);
  if (present.size() > 1) {
    page.open("nav", {{"aria-label", "Sections"}});
    for (const Section& section : present) page.element("a", {{"href", cat("#", section.id)}}, section.headline);
    page.close();
  }
  page.close().open("main");
  for (const Section& section : present) {
    page.open("section", {{"id", section.id}}).element("h2", {}, section.headline);
    page.element("p", {{"class", "note"}}, section.in_plain_words);
    section.write(page, data);
    page.close();
  }
  page.close().close().close().raw("\n");
  return page.finish();
}

}  // namespace rehyat::report
