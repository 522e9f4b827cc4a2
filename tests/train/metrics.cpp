#include "train/metrics.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"
#include "files/protobuf.h"

namespace rehyat::train {
namespace {

using testing::TempFolder;

/// CRC-32C bit by bit, without a table.
std::uint32_t slow_crc32c(const std::string& data) {
  std::uint32_t crc = ~0U;
  for (const char c : data) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82F63B78U : crc >> 1;
  }
  return ~crc;
}

TEST(Crc32c, GivesThePublishedAnswers) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43U);
  EXPECT_EQ(crc32c(""), 0U);
  const std::uint32_t crc = slow_crc32c("abc\xfe");
  EXPECT_EQ(crc32c("abc\xfe"), crc);
  EXPECT_EQ(masked_crc32c("abc\xfe"), static_cast<std::uint32_t>(((crc >> 15) | (crc << 17)) + 0xA282EAD8U));
}

/// One protobuf message by its field numbers.
struct Message {
  std::string data;
  std::multimap<std::uint64_t, protobuf::Field> fields;

  explicit Message(std::string bytes) : data(std::move(bytes)) {
    protobuf::Reader reader(data, {"event", "a message", ""});
    while (const auto field = reader.next()) fields.emplace(field->number, *field);
  }
  Message(const Message& other) : Message(other.data) {}
  const protobuf::Field& at(std::uint64_t number) const { return fields.find(number)->second; }
  Message inside(std::uint64_t number) const { return Message(std::string(at(number).bytes)); }
};

template <typename T>
T raw(const std::string& bytes) {
  T value{};
  EXPECT_EQ(bytes.size(), sizeof value);
  std::memcpy(&value, bytes.data(), std::min(sizeof value, bytes.size()));
  return value;
}

/// The records of an event file; every length and checksum must hold.
std::vector<Message> events_of(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  std::vector<Message> out;
  for (std::size_t at = 0; at < content.size();) {
    const auto length = raw<std::uint64_t>(content.substr(at, 8));
    const auto masked = [](const std::string& data) {
      const std::uint32_t crc = slow_crc32c(data);
      return static_cast<std::uint32_t>(((crc >> 15) | (crc << 17)) + 0xA282EAD8U);
    };
    EXPECT_EQ(raw<std::uint32_t>(content.substr(at + 8, 4)), masked(content.substr(at, 8)));
    const std::string data = content.substr(at + 12, length);
    EXPECT_EQ(raw<std::uint32_t>(content.substr(at + 12 + length, 4)), masked(data));
    out.emplace_back(data);
    at += 16 + length;
  }
  return out;
}

std::vector<std::filesystem::path> event_files(const TempFolder& folder) {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    if (entry.path().filename().string().rfind("events.out.tfevents.", 0) == 0) out.push_back(entry.path());
  }
  return out;
}

TEST(EventFile, ScalarsAreReadBackWithTheirChecksums) {
  const TempFolder folder;
  {
    EventFile file(folder.path(), 0);
    file.scalar("train/loss", 0.25, 0);
    file.scalar("train/" + std::string(300, 'x'), -1e-3, 1'234'567);
    file.scalar("train/bad", std::nan(""), 3);
  }
  ASSERT_EQ(event_files(folder).size(), 1U);
  const auto events = events_of(event_files(folder).front());
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events[0].at(3).bytes, "brain.Event:2");
  const auto scalar = [](const Message& event) {
    const Message value = event.inside(5).inside(1);
    return std::pair(std::string(value.at(1).bytes), value.at(2).real32());
  };
  EXPECT_EQ(scalar(events[1]), std::pair(std::string("train/loss"), 0.25F));
  EXPECT_EQ(events[1].at(2).value, 0U);
  EXPECT_EQ(scalar(events[2]), std::pair("train/" + std::string(300, 'x'), -1e-3F));
  EXPECT_EQ(events[2].at(2).value, 1'234'567U);
  EXPECT_TRUE(std::isnan(scalar(events[3]).second));
  EXPECT_GT(events[1].at(1).real64(), 1.7e9);  // wall time in seconds since 1970
}

TEST(EventFile, AResumedRunTellsTensorBoardWhatToDrop) {
  const TempFolder folder;
  { EventFile file(folder.path(), 40); }
  const auto events = events_of(event_files(folder).front());
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[1].at(2).value, 40U);
  EXPECT_EQ(events[1].inside(7).at(1).value, 1U);  // SessionLog.START
}

TEST(EventFile, AFolderThatIsMissingIsNamed) {
  const TempFolder folder;
  testing::expect_error<UserError>([&] { EventFile file(folder / "none", 0); }, {"none/events.out.tfevents"});
}

std::vector<std::string> lines_of(const TempFolder& folder) {
  std::istringstream in(read_file(folder / "metrics.jsonl"));
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

TEST(Metrics, AResumedRunDropsWhatItTakesAgain) {
  const TempFolder folder;
  {
    Metrics metrics(folder.path(), 0);
    for (int step = 0; step < 6; ++step) metrics.write({{"step", step}, {"loss", 1.0 / (step + 1)}}, "train");
    metrics.write({{"step", 3}, {"held_out", 0.5}}, "validation");
  }
  std::ofstream(folder / "metrics.jsonl", std::ios::app) << "{\"step\": 2, \"lo";  // killed while writing
  {
    Metrics metrics(folder.path(), 3);
    metrics.write({{"step", 4}, {"loss", 7.0}}, "train");
  }
  EXPECT_EQ(lines_of(folder),
            (std::vector<std::string>{R"({"step":0,"loss":1.0})", R"({"step":1,"loss":0.5})",
                                      R"({"step":2,"loss":0.3333333333333333})", R"({"step":3,"loss":0.25})",
                                      R"({"step":3,"held_out":0.5})", R"({"step":4,"loss":7.0})"}));
}

TEST(Metrics, AMeasurementOfTheLastStepIsNotRepeated) {
  const TempFolder folder;
  for (int run = 0; run < 3; ++run) {
    Metrics metrics(folder.path(), run == 0 ? 0 : 1);
    if (run == 0) metrics.write({{"step", 1}, {"loss", 1.0}}, "train");
    metrics.write({{"step", 1}, {"held_out", 0.5}}, "validation");
  }
  EXPECT_EQ(lines_of(folder), (std::vector<std::string>{R"({"step":1,"loss":1.0})", R"({"step":1,"held_out":0.5})"}));
}

TEST(Metrics, TensorBoardDropsWhatARunLeftThatWasKilledBeforeItsFirstCheckpoint) {
  const TempFolder folder;
  { Metrics metrics(folder.path(), 0); }
  const auto events = events_of(event_files(folder).front());
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[1].at(2).value, 1U);  // from the first step on
  EXPECT_EQ(events[1].inside(7).at(1).value, 1U);
}

/// While it lives no file of this process may grow beyond `bytes`, as on a full disk.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) {
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  sighandler_t handler_;
};

TEST(EventFile, AFailedWriteIsNamed) {
  const TempFolder folder;
  EventFile file(folder.path(), 0);
  const FileLimit limit(200);
  testing::expect_error<UserError>(
      [&] {
        for (int step = 1; step < 100; ++step) file.scalar("train/loss", 0.5, step);
      },
      {"events.out.tfevents", "cannot be written"});
}

TEST(Metrics, AFailedWriteIsNamed) {
  const TempFolder folder;
  Metrics metrics(folder.path(), 0);
  const FileLimit limit(200);
  testing::expect_error<UserError>(
      [&] {
        for (int step = 1; step < 100; ++step) metrics.write({{"step", step}, {"text", "no scalar"}}, "train");
      },
      {"metrics.jsonl", "cannot be written"});
}

TEST(Metrics, ANewTrainingStartsAnEmptyFile) {
  const TempFolder folder;
  { Metrics(folder.path(), 0).write({{"step", 0}, {"loss", 1.0}}, "train"); }
  { Metrics(folder.path(), 0).write({{"step", 0}, {"loss", 2.0}}, "train"); }
  EXPECT_EQ(lines_of(folder), std::vector<std::string>{R"({"step":0,"loss":2.0})"});
}

TEST(Metrics, LinesThatAreNoMetricsAreDroppedOnResume) {
  const TempFolder folder;
  write_file_atomic(folder / "metrics.jsonl",
                    "3\n[]\n{}\n\n{\"step\":\"x\"}\n{\"step\":1.5}\n{\"step\":0}\nnull\n\xff\n");
  { Metrics metrics(folder.path(), 9); }
  EXPECT_EQ(lines_of(folder), std::vector<std::string>{R"({"step":0})"});
}

}  // namespace
}  // namespace rehyat::train
