// SPDX-License-Identifier: Apache-2.0
#include "plugs/vfio_user/server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "plugs/vfio_user/detail/endpoint.h"

namespace weir::vfio_user {
namespace {

// How often an answer that waits for a drain is looked at: no descriptor tells of it.
constexpr int kLookAgain = 1;  // ms

}  // namespace

std::shared_ptr<const GuestMemory> Server::no_memory() {
  return std::make_shared<const GuestMemory>(GuestMemory::create({}).value());
}

Server::Server(Iommu& iommu, const Clock& clock, const ServerOptions& options)
    : iommu_(iommu),
      clock_(clock),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      maps_(options.unsealed) {}

Server::~Server() {
  // Functions and their ports go before the memory under them.
  endpoints_.clear();
  (void)iommu_.change_memory(no_memory());
  iommu_.poll();
}

Result<Done, std::string> Server::add(const FunctionOptions& options,
                                      std::unique_ptr<PciFunction> function) {
  auto listening = listen_at(options.socket);
  if (!listening) return Failure{listening.error()};
  if (auto added = add_connected(options, std::move(function), {}); !added) {
    ::unlink(options.socket.c_str());
    return added;
  }
  endpoints_.back()->listen(std::move(*listening), options.socket);
  return Done{};
}

Result<Done, std::string> Server::add_connected(const FunctionOptions& options,
                                                std::unique_ptr<PciFunction> function,
                                                FileDescriptor connection) {
  auto port = iommu_.attach({.function = options.requester});
  if (!port) return Failure{port.error()};
  // Closed until the guest opens it.
  (void)iommu_.set_bus_master(options.requester, false);
  const auto number = static_cast<DmaMaps::Client>(endpoints_.size());
  endpoints_.push_back(std::make_unique<Endpoint>(*this, number, options.requester,
                                                  std::move(*port), std::move(function)));
  if (connection) endpoints_.back()->connect(std::move(connection));
  return Done{};
}

FunctionHost* Server::host_of(Requester requester) const {
  for (const auto& endpoint : endpoints_)
    if (endpoint->requester() == requester) return endpoint.get();
  return nullptr;
}

void Server::reset_functions_but(Requester requester) {
  for (const auto& endpoint : endpoints_)
    if (endpoint->requester() != requester) endpoint->reset();
}

bool Server::reset_settled() const {
  return std::ranges::all_of(endpoints_, [](const auto& one) { return one->reset_settled(); });
}

std::size_t Server::connected() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(endpoints_, [](const auto& one) { return one->connected(); }));
}

void Server::wake() {
  const std::uint64_t one = 1;
  // A full counter is awake already.
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

void Server::post_after(Clock::Duration delay, std::function<void()> work) {
  {
    const MutexLock lock(mutex_);
    posted_.push_back({clock_.now() + delay, next_serial_++, std::move(work)});
    std::ranges::push_heap(posted_, std::greater<>(),
                           [](const Due& due) { return std::pair(due.at, due.serial); });
  }
  wake();
}

void Server::run_posted() {
  // What is posted meanwhile waits for the next turn.
  std::uint64_t end = 0;
  {
    const MutexLock lock(mutex_);
    end = next_serial_;
  }
  const auto when = [](const Due& due) { return std::pair(due.at, due.serial); };
  while (true) {
    std::function<void()> work;
    {
      const MutexLock lock(mutex_);
      if (posted_.empty() || posted_.front().at > clock_.now() || posted_.front().serial >= end)
        return;
      std::ranges::pop_heap(posted_, std::greater<>(), when);
      work = std::move(posted_.back().work);
      posted_.pop_back();
    }
    work();
  }
}

int Server::wait_milliseconds(Clock::Duration at_most) const {
  using std::chrono::milliseconds;
  // Rounded up: too early would be a turn for nothing.
  Clock::Duration wait = at_most + milliseconds(1) - Clock::Duration(1);
  const MutexLock lock(mutex_);
  if (!posted_.empty()) {
    const auto due = posted_.front().at - clock_.now() + milliseconds(1) - Clock::Duration(1);
    wait = std::clamp(due, Clock::Duration::zero(), wait);
  }
  for (const auto& endpoint : endpoints_)
    if (endpoint->waiting()) wait = std::min(wait, Clock::Duration(milliseconds(kLookAgain)));
  return static_cast<int>(
      std::min<std::int64_t>(wait / milliseconds(1), std::numeric_limits<int>::max()));
}

void Server::run_once(Clock::Duration at_most) {
  std::vector<pollfd> interests{{.fd = wake_.get(), .events = POLLIN, .revents = 0}};
  for (const auto& endpoint : endpoints_) interests.push_back(endpoint->interest());
  ::poll(interests.data(), interests.size(), wait_milliseconds(at_most));
  if (interests.front().revents != 0) {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(wake_.get(), &count, sizeof count);
  }
  run_posted();
  for (std::size_t i = 0; i < endpoints_.size(); ++i)
    endpoints_[i]->serve(interests[i + 1].revents);
  iommu_.poll();
}

}  // namespace weir::vfio_user
