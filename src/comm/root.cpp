#include "comm/root.h"

namespace rehyat::comm::detail {

using json = nlohmann::ordered_json;

json broadcast_json(const json& value, const Communicator& world) {
  std::string bytes;
  if (world.rank() == 0) json::to_msgpack(value, nlohmann::detail::output_adapter<char>(bytes));
  bytes = world.broadcast(bytes, 0);
  return world.rank() == 0 ? value : json::from_msgpack(bytes);
}

}  // namespace rehyat::comm::detail
