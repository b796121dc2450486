// SPDX-License-Identifier: Apache-2.0
#include "plugs/vfio_user/detail/endpoint.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace weir::vfio_user {
namespace {

[[nodiscard]] SessionHost::Settled settled_by(Change change) {
  if (change.complete()) return {};
  return [change = std::move(change)] { return change.complete(); };
}

}  // namespace

Server::Endpoint::Endpoint(Server& server, DmaMaps::Client number, Requester requester,
                           std::unique_ptr<DmaPort> port, std::unique_ptr<PciFunction> function)
    : server_(server),
      number_(number),
      requester_(requester),
      port_(std::move(port)),
      lines_(function->interrupts()),
      function_(std::move(function)),
      session_(*function_, lines_, *this) {
  function_->start(*this);
}

Server::Endpoint::~Endpoint() {
  if (listening_) ::unlink(path_.c_str());
}

void Server::Endpoint::listen(FileDescriptor listening, std::string path) {
  listening_ = std::move(listening);
  path_ = std::move(path);
}

void Server::Endpoint::connect(FileDescriptor connection) {
  auto socket = std::make_shared<Socket>(std::move(connection));
  const MutexLock lock(socket_mutex_);
  socket_ = std::move(socket);
}

pollfd Server::Endpoint::interest() const {
  // While a reply is due to come, nothing more is taken; a client that is gone is not missed.
  if (socket_ == nullptr)
    return {.fd = waiting() ? -1 : listening_.get(), .events = POLLIN, .revents = 0};
  const auto events =
      static_cast<short>((waiting() ? 0 : POLLIN) | (socket_->queued() ? POLLOUT : 0));
  return {.fd = events == 0 ? -1 : socket_->fd(), .events = events, .revents = 0};
}

void Server::Endpoint::serve(short events) {
  if (!reply_if_due()) return;
  if (socket_ == nullptr) {
    if ((events & POLLIN) == 0) return;
    if (FileDescriptor connection = accept_one(listening_)) connect(std::move(connection));
    return;
  }
  if ((events & POLLOUT) != 0) socket_->flush();
  if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) receive();
}

bool Server::Endpoint::reply_if_due() {
  if (!settled_) return true;
  if (!settled_()) return false;
  settled_ = {};
  if (socket_ != nullptr && !reply_.empty()) socket_->send(std::move(reply_));
  reply_.clear();
  return true;
}

void Server::Endpoint::receive() {
  for (int i = 0; i < kMessagesPerTurn && socket_ != nullptr; ++i) {
    Message message;
    switch (socket_->receive(message)) {
      case Socket::Received::kNothing:
        return;
      case Socket::Received::kEnd:
        return disconnect();
      case Socket::Received::kMessage:
        break;
    }
    Session::Answer answer = session_.handle(std::move(message));
    settled_ = std::move(answer.settled);
    reply_ = std::move(answer.reply);
    if (settled_ && !reply_if_due()) return;
    // A client that does not read its replies gets no more of them.
    const bool sent = reply_.empty() || socket_->send(std::exchange(reply_, {}));
    if (answer.end || !sent) return disconnect();
  }
}

void Server::Endpoint::disconnect() {
  {
    const MutexLock lock(socket_mutex_);
    socket_.reset();
  }
  reply_.clear();
  settled_ = session_.end();
}

bool Server::Endpoint::send_msi(Msi msi) {
  // Relaxed: see the member.
  if (!bus_master_.load(std::memory_order_relaxed)) return false;
  const MutexLock lock(socket_mutex_);
  if (socket_ == nullptr) return false;
  std::vector<std::byte> payload;
  append(payload, DmaAccess{.address = msi.address, .count = sizeof msi.data});
  append(payload, msi.data);
  return socket_->send(make_posted(Command::kDmaWrite, next_id_++, payload));
}

int Server::Endpoint::map(const DmaMap& what, FileDescriptor file, Settled& settled) {
  const int error = server_.maps_.map(number_, what, std::move(file));
  if (error == 0) settled = settled_by(server_.publish());
  return error;
}

int Server::Endpoint::unmap(const DmaUnmap& what, Settled& settled) {
  const int error = server_.maps_.unmap(number_, what.address, what.size);
  if (error == 0) settled = settled_by(server_.publish());
  return error;
}

SessionHost::Settled Server::Endpoint::unmap_all() {
  if (server_.maps_.size(number_) == 0) return {};
  server_.maps_.unmap_all(number_);
  return settled_by(server_.publish());
}

SessionHost::Settled Server::Endpoint::set_bus_master(bool on) {
  // Relaxed: see the member.
  bus_master_.store(on, std::memory_order_relaxed);
  return settled_by(server_.iommu_.set_bus_master(requester_, on));
}

SessionHost::Settled Server::Endpoint::reset_requester() {
  return settled_by(server_.iommu_.reset_function(requester_));
}

}  // namespace weir::vfio_user
