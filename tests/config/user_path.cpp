#include "config/user_path.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "core/expect_error.h"
#include "example.h"

namespace rehyat::testing {
namespace {

/// HOME for the length of a test.
class Home {
 public:
  explicit Home(const char* folder) {
    if (const char* before = ::getenv("HOME")) before_ = before;
    folder == nullptr ? ::unsetenv("HOME") : ::setenv("HOME", folder, 1);
  }
  ~Home() { before_ ? ::setenv("HOME", before_->c_str(), 1) : ::unsetenv("HOME"); }

 private:
  std::optional<std::string> before_;
};

std::filesystem::path read(const std::string& text) {
  return config::user_path(text, "here");
}

void refused(const std::string& text, const std::vector<std::string>& parts) {
  expect_error<UsageError>([&] { read(text); }, parts);
}

TEST(UserPath, ATildeIsTheHomeAsInAShell) {
  const Home home("/home/me");
  EXPECT_EQ(read("~"), "/home/me");
  EXPECT_EQ(read("~/"), "/home/me/");
  EXPECT_EQ(read("~/runs/a b"), "/home/me/runs/a b");
  for (const char* text : {"", "runs", "a/~", "a/~/b", "./~", "./~/x", "a~", "/~", "./~me", "/a~/b"})
    EXPECT_EQ(read(text), text);
}

TEST(UserPath, WithoutAHomeATildeIsRefused) {
  for (const char* folder : {static_cast<const char*>(nullptr), ""}) {
    const Home home(folder);
    refused("~/x", {"here: found \"~/x\"", "HOME", "./~"});
    EXPECT_EQ(read("/x"), "/x");
  }
}

TEST(UserPath, WhatOnlyAShellReplacesIsRefusedWithTheWayOut) {
  refused("~me/x", {"here: found \"~me/x\"", "another user's home", "./~me"});
  refused("~+", {"./~+"});
  refused("$HOME/x", {"here: found \"$HOME/x\"", "variable", "./$HOME"});
  for (const char* text : {"${SCRATCH}/x", "/scratch/$USER/x", "runs/run-$SLURM_JOB_ID", "$(date)", "a/$_x", "x$$y"})
    refused(text, {"let the shell replace it"});
  for (const char* text : {"./$HOME/x", "/scratch/./$USER/x", "cost $5", "a$", "$", "$/a", "a$-b", "$1"})
    EXPECT_EQ(read(text), text);
}

TEST(UserPath, EverySettingOfAPathReadsItSo) {
  const Home home("/home/me");
  EXPECT_EQ(parse("title: a\nfolder: ~/runs\n").folder, "/home/me/runs");
  EXPECT_EQ(parse("title: a\nfolder: \"~/runs\"\n").folder, "/home/me/runs");
  EXPECT_EQ(parse("title: a\n", {"folder=~/runs"}).folder, "/home/me/runs");
  EXPECT_EQ(parse("title: a\n", {"folder=~"}).folder, "/home/me");
  EXPECT_EQ(parse("title: ~/x\nfolder: b\n", {"note=~/x"}).note, "~/x");  // text is no path
  expect_error<UsageError>([] { parse("title: a\nfolder: $HOME/x\n"); },
                           {"run.yaml:2:9: 'folder': found \"$HOME/x\"", "./$HOME"});
  expect_error<UsageError>([] { parse("title: a\n", {"folder=~you/x"}); }, {"override 'folder=~you/x'", "'folder'"});
}

TEST(UserPath, WhatTheProgramWroteIsReadAsItStands) {
  const Home home("/home/me");
  Experiment e;
  e.title = "a";
  e.folder = "/data/$x/~";
  EXPECT_EQ(config::from_json<Experiment>(config::to_json(e), "stage.json").folder, e.folder);
  e.folder = "~";
  EXPECT_EQ(config::from_json<Experiment>(config::to_json(e), "stage.json").folder, e.folder);
}

}  // namespace
}  // namespace rehyat::testing
