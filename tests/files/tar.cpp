#include "files/tar.h"

#include <gtest/gtest.h>

#include <functional>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "files/tar_maker.h"

namespace rehyat {
namespace {

using testing::TarMaker;

class Tar : public ::testing::Test {
 protected:
  static void expect_refused(const std::function<void()>& call, const std::vector<std::string>& parts) {
    testing::expect_error<UserError>(call, parts);
  }
  std::filesystem::path file(const std::string& name, const std::string& content) const {
    write_file_atomic(folder_ / name, content);
    return folder_ / name;
  }
  std::filesystem::path save(const TarMaker& tar) const { return tar.save(folder_ / "x.tar"); }
  /// Names and contents, "a=x b=y".
  static std::string content(const std::filesystem::path& path) {
    const FileBytes file(path);
    std::string out;
    for (const TarMember& member : list_tar(path))
      out += cat(out.empty() ? "" : " ", member.name, '=', read_member(file, member, 1 << 20));
    return out;
  }
  void refused(const TarMaker& tar, std::vector<std::string> parts) const {
    parts.emplace_back("x.tar");
    const auto path = save(tar);
    SCOPED_TRACE(parts.front());
    expect_refused([&] { list_tar(path); }, parts);
  }

  const testing::TempFolder folder_;
};

TEST_F(Tar, MembersLieWhereTheHeadersSay) {
  TarMaker tar;
  tar.add("folder/", "", '5').add("folder/a.txt", "A").add("./b.txt", std::string(1000, 'b')).add("empty", "").end();
  const auto members = list_tar(save(tar));
  ASSERT_EQ(members.size(), 3U);
  EXPECT_EQ(members[0].name, "folder/a.txt");
  EXPECT_EQ(members[0].offset, 1024U);
  EXPECT_EQ(members[1].name, "b.txt");
  EXPECT_EQ(members[1].bytes, 1000U);
  EXPECT_EQ(members[2].bytes, 0U);
  EXPECT_EQ(content(folder_ / "x.tar"), "folder/a.txt=A b.txt=" + std::string(1000, 'b') + " empty=");
}

TEST_F(Tar, EveryFormatOfLongNamesAndSizes) {
  const std::string lengthy = std::string(90, 'd') + "/" + std::string(180, 'n') + ".txt";
  TarMaker::Header split;
  split.name = std::string(80, 'n') + ".txt";
  split.prefix = std::string(120, 'p');
  split.size = 1;
  TarMaker::Header binary;
  binary.name = "binary";
  binary.size_field = std::string("\x80\0\0\0\0\0\0\0\0\0\0\2", 12);
  TarMaker::Header old;  // before POSIX: no magic, type NUL, and times where the prefix would be
  old.name = "old";
  old.magic = std::string(8, ' ');
  old.type = '\0';
  old.prefix = "12345";
  old.size = 1;
  TarMaker tar;
  tar.pax({{"comment", "of all"}}, 'g').pax({{"path", "caf\xC3\xA9/" + lengthy}, {"mtime", "1.5"}}).add("short", "P");
  tar.pax({{"size", "3"}});
  tar.header({"pax-size", "", 0, '0', std::string("ustar\0", 6) + "00", "", 0}).data("SSS");
  tar.gnu_long(lengthy).add("short", "G").header(split).data("U").header(binary).data("BB").header(old).data("O");
  tar.add("volume", "", 'V').end();
  EXPECT_EQ(content(save(tar)), "caf\xC3\xA9/" + lengthy + "=P pax-size=SSS " + lengthy + "=G " + split.prefix + "/" +
                                    split.name + "=U binary=BB old=O");
}

TEST_F(Tar, RefusesWhatIsCutShort) {
  TarMaker tar;
  tar.add("a.txt", std::string(700, 'a')).add("b.txt", "b").end();
  const auto path = save(tar);
  for (const std::uint64_t bytes : {100U, 512U, 700U, 1211U, 1536U, 1600U, 2048U, 2100U, 2560U}) {
    std::filesystem::resize_file(path, bytes);
    SCOPED_TRACE(bytes);
    expect_refused([&] { list_tar(path); }, {"x.tar", "cut short"});
    save(tar);
  }
  std::filesystem::resize_file(path, tar.bytes().size() - 512);  // one zero block is an end
  EXPECT_EQ(list_tar(path).size(), 2U);
  file("none.tar", "");
  expect_refused([&] { list_tar(folder_ / "none.tar"); }, {"none.tar", "end of the file"});
  expect_refused([&] { list_tar(folder_ / "missing.tar"); }, {"missing.tar", "No such file"});
}

TEST_F(Tar, RefusesHostileSizes) {
  const auto sized = [](const std::string& field) {
    TarMaker::Header h;
    h.name.assign(1, 'a');
    h.size_field = field;
    TarMaker tar;
    tar.header(h).data("x").end();
    return tar;
  };
  refused(sized("77777777777"), {"\"a\" of 8589934591 bytes", "cut short"});
  refused(sized(std::string("\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12)), {"beyond 2^63"});
  refused(sized(std::string("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12)), {"cut short"});
  refused(sized(std::string(12, '\xff')), {"negative size"});
  refused(sized("00000000xyz"), {"size \"00000000xyz\"", "octal"});
  TarMaker pax;
  refused(pax.pax({{"size", "99999999999999999999"}}).add("a", "x").end(), {"size \"99999999999999999999\""});
  TarMaker minus;
  refused(minus.pax({{"size", "-1"}}).add("a", "x").end(), {"size \"-1\""});
  TarMaker names;
  refused(names.gnu_long(std::string(2 << 20, 'n')).add("a", "x").end(), {"bytes of names", "at most"});
}

TEST_F(Tar, RefusesNamesThatLieOutside) {
  for (const char* name : {"/etc/passwd", "../a", "a/../../b", "a/.."}) {
    TarMaker tar;
    refused(tar.add(name, "x").end(), {std::string("\"") + name + "\""});
    TarMaker lengthy;
    refused(lengthy.gnu_long(name).add("a", "x").end(), {std::string("\"") + name + "\""});
    TarMaker pax;
    refused(pax.pax({{"path", name}}).add("a", "x").end(), {std::string("\"") + name + "\""});
  }
  TarMaker unnamed, dot, latin, twice, nul;
  refused(unnamed.add("", "x").end(), {"without a name"});
  refused(dot.add("./", "x").end(), {"the name of a file"});
  refused(latin.add("caf\xE9", "x").end(), {"caf\\xE9", "UTF-8"});
  refused(twice.add("a", "x").add("./a", "y").end(), {"\"a\" twice"});
  refused(nul.pax({{"path", std::string("a\0b", 3)}}).add("a", "x").end(), {"without a name"});
}

TEST_F(Tar, RefusesWhatIsNoPlainFile) {
  const std::vector<std::pair<char, std::string>> kinds = {
      {'1', "a hard link"},   {'2', "a symbolic link"}, {'3', "a device"},       {'6', "a pipe"},
      {'S', "a sparse file"}, {'M', "another volume"},  {'Z', "of the type 'Z'"}};
  for (const auto& [type, said] : kinds) {
    TarMaker tar;
    refused(tar.add("a", "", type).end(), {said, "\"a\""});
  }
  TarMaker sparse, shared;
  refused(sparse.pax({{"GNU.sparse.major", "1"}}).add("a", "x").end(), {"sparse"});
  refused(shared.pax({{"path", "b"}}, 'g').add("a", "x").end(), {"one path for all members"});
}

TEST_F(Tar, RefusesDamage) {
  TarMaker sum;
  TarMaker::Header wrong;
  wrong.name = "a";
  wrong.wrong_sum = 1;
  refused(sum.header(wrong).end(), {"checksum", "is it a tar?"});
  TarMaker text;
  text.data(std::string(2000, 'x'));
  refused(text, {"is it a tar?"});
  for (const std::string record : {"5 a=b\n", "99 a=b\n", "a=b\n", "6 ab\n ", "7 a=bcd"}) {
    TarMaker tar;
    refused(tar.add("x", record, 'x').add("a", "x").end(), {"pax record"});
  }
  TarMaker joined;
  refused(joined.add("a", "x").end().add("b", "y").end(), {"data behind the end mark", "joined"});
  for (const std::string magic : {"\x1f\x8b", "BZh9",
                                  "\xfd"
                                  "7zXZ",
                                  "\x28\xb5\x2f\xfd"}) {
    file("x.tar", magic + std::string(1000, 'x'));
    expect_refused([&] { list_tar(folder_ / "x.tar"); }, {"a file compressed with", "unpack"});
  }
}

TEST_F(Tar, WhatIsNoTarIsCalledByItsName) {
  file("x.tar", "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, 'a') + "\nsize 5\n");
  expect_refused([&] { list_tar(folder_ / "x.tar"); }, {"x.tar: found a Git LFS pointer", "git lfs pull"});
  file("x.tar", "<!DOCTYPE html><html>" + std::string(1000, 'x'));
  expect_refused([&] { list_tar(folder_ / "x.tar"); }, {"a web page"});
}

TEST_F(Tar, LargeMembersAreNotReadAsText) {
  TarMaker tar;
  tar.add("a.txt", std::string(100, 'a')).end();
  const FileBytes file(save(tar));
  expect_refused([&] { read_member(file, list_tar(file.path()).front(), 99); }, {"x.tar/a.txt", "100 bytes", "99"});
}

}  // namespace
}  // namespace rehyat
