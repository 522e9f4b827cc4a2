#include "tensor/hdf5_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>

#include "core/expect_error.h"
#include "data/video/clip_maker.h"
#include "tensor/hdf5_pool.h"

namespace rehyat::data {
namespace {

class Hdf5File : public VideoTest {
 protected:
  std::filesystem::path written(const std::string& name = "a.h5") const {
    Hdf5Writer writer(folder_ / name);
    writer.write("group/values", at::arange(600, at::kFloat).view({20, 30}));
    writer.attribute("about", "a text");
    writer.commit();
    return folder_ / name;
  }
};

/// Sets a limit of this process for a while.
class Limit {
 public:
  Limit(__rlimit_resource what, rlim_t value) : what_(what) {
    getrlimit(what_, &before_);
    const rlimit now{std::min(value, before_.rlim_max), before_.rlim_max};
    setrlimit(what_, &now);
  }
  ~Limit() { setrlimit(what_, &before_); }

 private:
  __rlimit_resource what_;
  rlimit before_{};
};

TEST_F(Hdf5File, EveryTypeAndShape) {
  const auto path = folder_ / "types.h5";
  std::vector<at::Tensor> tensors = {at::scalar_tensor(3.5), at::zeros({0, 4}), at::full({2, 1, 3}, 7, at::kLong)};
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kLong, at::kByte})
    tensors.push_back(at::arange(12).view({3, 4}).to(type));
  Hdf5Writer writer(path);
  for (std::size_t i = 0; i < tensors.size(); ++i) writer.write("t/" + std::to_string(i), tensors[i]);
  const std::string long_text(200'000, 'x');
  writer.attribute("empty", "");
  writer.attribute("long", long_text);
  EXPECT_FALSE(std::filesystem::exists(path));
  writer.commit();
  const Hdf5Reader reader(path);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const at::Tensor read = reader.read("t/" + std::to_string(i));
    EXPECT_EQ(read.scalar_type(), tensors[i].scalar_type());
    EXPECT_TRUE(at::equal(read, tensors[i])) << i;
  }
  EXPECT_EQ(reader.attribute("empty"), "");
  EXPECT_EQ(reader.attribute("long"), long_text);
  EXPECT_EQ(reader.names().size(), tensors.size() + 1);
  expect_refused([&] { reader.read("none"); }, {"types.h5", "no dataset 'none'"});
  expect_refused([&] { reader.attribute("none"); }, {"types.h5"});
  expect_refused([&] { Hdf5Writer(folder_ / "b.h5").write("x", at::zeros({2}, at::kInt)); }, {"b.h5", "'x'", "Int"});
}

TEST_F(Hdf5File, LargeValuesAreReadInPiecesIntoMemoryThatIsGiven) {
  const auto path = folder_ / "large.h5";
  const at::Tensor values = at::arange(5'000'001, at::kFloat);
  {
    Hdf5Writer writer(path);
    writer.write("values", values);
    writer.commit();
  }
  at::Tensor given;
  const auto memory = [&](at::IntArrayRef shape, at::ScalarType type) {
    return given = at::empty(shape, at::TensorOptions().dtype(type));
  };
  const at::Tensor read = Hdf5Reader(path).read("values", memory);
  EXPECT_TRUE(read.is_same(given));
  EXPECT_TRUE(at::equal(read, values));
  EXPECT_TRUE(at::equal(Hdf5Reader(path).read("values"), values));
  // A byte in the last piece.
  std::string bytes = read_file(path);
  const float last = 5'000'000;
  const std::size_t place = bytes.rfind(std::string(reinterpret_cast<const char*>(&last), sizeof last));
  ASSERT_NE(place, std::string::npos);
  bytes[place] = static_cast<char>(bytes[place] ^ 1);
  write_file_atomic(path, bytes);
  testing::expect_error<UserError>([&] { Hdf5Reader(path).read("values"); }, {"large.h5", "another checksum"});
}

TEST_F(Hdf5File, TheSameContentGivesTheSameBytes) {
  EXPECT_EQ(read_file(written("a.h5")), read_file(written("b.h5")));
}

TEST_F(Hdf5File, WithoutCommitNothingIsLeft) {
  { Hdf5Writer(folder_ / "a.h5").write("x", at::zeros({3})); }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(Hdf5File, RefusesCutFilesAtEveryLength) {
  const std::string bytes = read_file(written());
  expect_refused([&] { Hdf5Reader(folder_ / "a.h5", bytes.size() + 1); }, {"a.h5", "bytes"});
  expect_refused([&] { Hdf5Reader(folder_ / "none.h5"); }, {"none.h5", "No such file"});
  expect_refused([&] { Hdf5Reader(file("text.h5", "plain text")); }, {"text.h5", "does not start like HDF5"});
  expect_refused([&] { Hdf5Reader(file("page.h5", "<html>sign in</html>")); }, {"page.h5", "a web page"});
  for (std::size_t length = 0; length < bytes.size(); length += 97) {
    const auto path = file("cut.h5", bytes.substr(0, length));
    expect_refused([&] { Hdf5Reader(path).read("group/values"); }, {"cut.h5"});
  }
}

TEST_F(Hdf5File, FlippedBytesNeverPassForTheValues) {
  const std::string bytes = read_file(written());
  const at::Tensor values = at::arange(600, at::kFloat).view({20, 30});
  std::size_t refused = 0, tries = 0;
  for (std::size_t at = 8; at < bytes.size(); at += 61, ++tries) {
    std::string altered = bytes;
    altered[at] = static_cast<char>(altered[at] ^ 0x5A);
    try {
      // A byte of padding may be any; what is read is right or refused.
      EXPECT_TRUE(at::equal(Hdf5Reader(file("flip.h5", altered)).read("group/values"), values)) << at;
    } catch (const UserError& error) {
      EXPECT_NE(std::string(error.what()).find("flip.h5"), std::string::npos);
      ++refused;
    }
  }
  EXPECT_GT(refused, tries / 4);
}

/// Found by tests/mutation: HDF5 followed the group until the stack ended.
TEST_F(Hdf5File, RefusesAGroupWithinItself) {
  {
    Hdf5Writer writer(folder_ / "b.h5");
    writer.write("x", at::ones({3, 2}));
    writer.commit();
  }
  std::string bytes = read_file(folder_ / "b.h5");
  const std::size_t node = bytes.find("SNOD");
  ASSERT_NE(node, std::string::npos);
  // The entry of x becomes the root's, which lies at byte 56 of the superblock: all but its name.
  bytes.replace(node + 16, 32, bytes.substr(64, 32));
  const Hdf5Reader reader(file("cycle.h5", bytes));
  expect_refused([&] { reader.names(); }, {"cycle.h5", "the group 'x' within itself"});
}

TEST_F(Hdf5File, RefusesAForeignFormat) {
  {
    Hdf5Writer writer(folder_ / "b.h5");
    writer.commit();
  }
  std::string bytes = read_file(folder_ / "b.h5");
  const std::size_t at = bytes.find("rehyat_format");
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, 6, "forest");
  expect_refused([&] { Hdf5Reader(file("foreign.h5", bytes)); }, {"foreign.h5"});
}

TEST_F(Hdf5File, TooManyOpenFilesAreNotDamage) {
  const auto path = written();
  Hdf5Reader first(path);  // loads what the library opens on its first use
  std::vector<int> taken;
  const Limit limit(RLIMIT_NOFILE, 64);
  for (int fd = ::open("/dev/null", O_RDONLY); fd >= 0; fd = ::open("/dev/null", O_RDONLY)) taken.push_back(fd);
  for (const std::size_t spare : {0U, 1U}) {
    for (std::size_t i = 0; i < spare; ++i, taken.pop_back()) ::close(taken.back());
    try {
      Hdf5Reader second(path);
      ADD_FAILURE() << "opened without a free descriptor";
    } catch (const UserError& error) {
      EXPECT_NE(std::string(error.what()).find("ulimit -n"), std::string::npos) << error.what();
      EXPECT_EQ(std::string(error.what()).find("remove"), std::string::npos) << error.what();
    }
  }
  for (const int fd : taken) ::close(fd);
}

TEST_F(Hdf5File, ALockIsNotDamage) {
  const auto path = written();
  const int fd = ::open(path.c_str(), O_RDONLY);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  EXPECT_NO_THROW(Hdf5Reader(path).read("group/values"));
  // A lock on a file that cannot be read tells of a program that is writing to it.
  const std::string bytes = read_file(path);
  const int changed = ::open(file("b.h5", bytes.substr(0, bytes.size() / 2)).c_str(), O_RDONLY);
  ASSERT_EQ(::flock(changed, LOCK_EX), 0);
  expect_refused([&] { Hdf5Reader reader(folder_ / "b.h5"); },
                 {"b.h5", "cannot be locked", "another program is writing"});
  ::close(changed);
  ::close(fd);
}

TEST_F(Hdf5File, AFullDiskSaysSo) {
  std::signal(SIGXFSZ, SIG_IGN);
  const Limit limit(RLIMIT_FSIZE, 4096);
  expect_refused(
      [&] {
        Hdf5Writer writer(folder_ / "large.h5");
        writer.write("x", at::zeros({100'000}));
        writer.commit();
      },
      {"large.h5", "File too large", "space"});
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(Hdf5File, PoolKeepsAFewFilesOpen) {
  std::vector<Hdf5Pool::File> files;
  for (int i = 0; i < 5; ++i) {
    const auto path = written(std::to_string(i) + ".h5");
    files.push_back({path.filename().string(), std::filesystem::file_size(path)});
  }
  const Hdf5Pool pool(folder_, files, "cache", 2);
  for (const std::size_t i : {0U, 1U, 2U, 3U, 4U, 0U, 4U, 4U})
    EXPECT_EQ(pool.at(i).path().filename().string(), std::to_string(i) + ".h5");
  EXPECT_EQ(pool.open(), 2U);
  files[2].bytes += 1;
  expect_refused([&] { Hdf5Pool(folder_, files, "cache"); }, {"2.h5", "bytes", "rehyat cache"});
  files[2].name = "none.h5";
  expect_refused([&] { Hdf5Pool(folder_, files, "prepare"); }, {"none.h5", "no file", "rehyat prepare"});
  for (const char* elsewhere : {"/dev/zero", "../a.h5", ""}) {
    files[2].name = elsewhere;
    expect_refused([&] { Hdf5Pool(folder_, files, "prepare"); }, {folder_.string(), elsewhere, "in the folder"});
  }
}

}  // namespace
}  // namespace rehyat::data
