#include "comm/mpi_test_main.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include "comm/session.h"

namespace rehyat::testing {
namespace {

const comm::Communicator* current_world = nullptr;

/// What ranks other than 0 print: failures only, each with its rank.
class FailurePrinter : public ::testing::EmptyTestEventListener {
 public:
  explicit FailurePrinter(int rank) : rank_(rank) {}

 private:
  // Kept, because GoogleTest holds a lock while it reports a failure: who asks it for the running test then hangs.
  void OnTestStart(const ::testing::TestInfo& test) override { test_ = test.name(); }
  void OnTestEnd(const ::testing::TestInfo&) override { test_.clear(); }
  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (!result.failed()) return;
    // In one piece, or the launcher mixes it with what other ranks print.
    std::ostringstream text;
    text << "[rank " << rank_ << "] " << test_ << ": " << (result.file_name() == nullptr ? "" : result.file_name())
         << ':' << result.line_number() << ": " << result.message() << '\n';
    std::cerr << text.str();
  }

  int rank_;
  std::string test_;
};

/// Whether the world has the size of --expected-ranks=N; a launcher of another MPI starts N worlds of one rank, whose
/// tests would all pass.
bool has_expected_size(int argc, char** argv, const comm::Communicator& world) {
  const std::string prefix = "--expected-ranks=";
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const bool known = argument.rfind(prefix, 0) == 0;
    const int expected = known ? std::atoi(argument.c_str() + prefix.size()) : 0;
    if (known && expected == world.size()) continue;
    if (world.rank() == 0) {
      std::cerr << "found " << (known ? std::to_string(world.size()) + " ranks" : "the argument " + argument)
                << ", expected " << (known ? std::to_string(expected) : "--expected-ranks=N") << std::endl;
    }
    return false;
  }
  return true;
}

}  // namespace

const comm::Communicator& world() {
  return *current_world;
}

int run(int argc, char** argv) {
  comm::MpiSession session(argc, argv);
  ::testing::InitGoogleTest(&argc, argv);
  current_world = &session.world();
  if (!has_expected_size(argc, argv, world())) return 1;
  if (world().rank() != 0) {
    auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailurePrinter(world().rank()));
  }
  return world().any(RUN_ALL_TESTS() != 0) ? 1 : 0;
}

}  // namespace rehyat::testing

int main(int argc, char** argv) {
  return rehyat::testing::run(argc, argv);
}
