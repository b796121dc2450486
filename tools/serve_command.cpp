// SPDX-License-Identifier: Apache-2.0
#include "tools/serve_command.h"

#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <sstream>
#include <utility>

#include "plugs/vfio_user/machine.h"
#include "plugs/vfio_user/socket.h"
#include "tools/exit_status.h"
#include "tools/qemu_command.h"
#include "tools/serve_config.h"
#include "tools/serve_counters.h"

namespace weir::tools {
namespace {

// What signals asked for. They are the command's own; the library has none.
volatile std::sig_atomic_t end_asked = 0;
volatile std::sig_atomic_t counters_asked = 0;

// Their handlers, for as long as a machine is served.
class Signals {
 public:
  Signals() {
    end_asked = 0;
    counters_asked = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { end_asked = 1; };
    ::sigaction(SIGINT, &action, &before_[0]);
    ::sigaction(SIGTERM, &action, &before_[1]);
    action.sa_handler = [](int) { counters_asked = 1; };
    ::sigaction(SIGUSR1, &action, &before_[2]);
  }
  ~Signals() {
    ::sigaction(SIGINT, &before_[0], nullptr);
    ::sigaction(SIGTERM, &before_[1], nullptr);
    ::sigaction(SIGUSR1, &before_[2], nullptr);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  struct sigaction before_[3];
};

[[nodiscard]] Result<std::string, std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) return Failure{std::string("cannot be read")};
  return text.str();
}

// The same table as a whole or not at all.
[[nodiscard]] bool write_file(const std::string& path, const std::vector<std::byte>& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (file) return true;
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  return false;
}

// Answers whoever connects to the control socket with one line of counters.
class Control {
 public:
  explicit Control(vfio_user::FileDescriptor listening, std::string path)
      : listening_(std::move(listening)), path_(std::move(path)) {}
  ~Control() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  template <typename Counters>
  void answer(Counters counters) {
    while (auto connection = vfio_user::accept_one(listening_)) {
      const std::string line = counters() + "\n";
      const auto bytes = std::as_bytes(std::span(line));
      vfio_user::Socket(std::move(connection)).send({bytes.begin(), bytes.end()});
    }
  }

 private:
  const vfio_user::FileDescriptor listening_;
  const std::string path_;
};

[[nodiscard]] std::string hex(std::uint64_t value) {
  std::ostringstream text;
  text << std::hex << value << 'h';
  return text.str();
}

// Until it is told to end.
void serve(vfio_user::Machine& machine, const ServeConfig& config, const ServeOptions& options,
           Control& control, std::ostream& out, std::ostream& err) {
  const auto counters = [&] { return serve_counters(machine, config).dump(); };
  bool seen = false;
  std::optional<std::uint64_t> told;
  bool second_told = false;
  while (end_asked == 0 && !(options.once && seen && machine.connected() == 0)) {
    machine.run_once(std::chrono::milliseconds(20));
    seen |= machine.connected() == machine.connections().size();
    control.answer(counters);
    if (counters_asked != 0) {
      counters_asked = 0;
      out << counters() << std::endl;
    }
    const auto placed = machine.placed_at();
    if (placed && placed != told && *placed != machine.register_base())
      err << "weir: the firmware has put the registers at " << hex(*placed) << ", the table says "
          << hex(machine.register_base()) << ": give the description \"register_base\": \"0x"
          << hex(*placed).substr(0, hex(*placed).size() - 1) << "\"" << std::endl;
    told = placed;
    const auto second = machine.second_placed_at();
    if (second && second != machine.second_base() && !std::exchange(second_told, true))
      err << "weir: the firmware has put the second unit's registers at " << hex(*second)
          << ", the table says " << hex(*machine.second_base()) << std::endl;
  }
  out << counters() << std::endl;
}

}  // namespace

int run_serve(const ServeOptions& options, std::ostream& out, std::ostream& err) {
  const auto refuse = [&err](const std::string& what, const std::string& cause) {
    err << "weir: " << what << ": " << cause << "\n";
    return kUnusable;
  };
  const auto text = read_file(options.description);
  if (!text) return refuse(options.description, text.error());
  auto config = read_serve_config(*text);
  if (!config) return refuse(options.description, config.error());

  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  const std::string folder = std::filesystem::absolute(options.folder, error).lexically_normal();
  if (error || !std::filesystem::is_directory(folder))
    return refuse(options.folder, "is no folder and cannot be made one");
  config->machine.run_folder = folder;
  config->machine.record = options.record;
  config->machine.check = options.check;
  auto machine = vfio_user::Machine::create(std::move(config->machine));
  if (!machine) return refuse(options.description, machine.error());
  const std::string table = (*machine)->table().empty() ? "" : folder + "/table.aml";
  if (!table.empty() && !write_file(table, (*machine)->table()))
    return refuse(table, "cannot be written");
  auto listening = vfio_user::listen_at(folder + "/control.sock");
  if (!listening) return refuse(folder, listening.error());

  const Signals signals;
  Control control(std::move(*listening), folder + "/control.sock");
  out << qemu_command(options.qemu, *config, **machine, table) << std::endl;
  serve(**machine, *config, options, control, out, err);
  if (auto finished = (*machine)->finish_recording(); !finished)
    return refuse("the recording", finished.error());
  return kGood;
}

}  // namespace weir::tools
