// SPDX-License-Identifier: Apache-2.0
//
// Failure as a value: a Result holds either what was asked for or why it could not be had. C++20
// has no std::expected; this is the part of it that weir needs. Nothing here throws or allocates by
// itself.
//
// Thread rules: those of the types held.
#pragma once

#include <utility>
#include <variant>

namespace weir {

template <typename E>
struct Failure {
  E error;
};
template <typename E>
Failure(E) -> Failure<E>;

template <typename T, typename E>
class [[nodiscard]] Result {
 public:
  constexpr Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
  template <typename F>
  constexpr Result(Failure<F> failure) : held_(std::in_place_index<1>, std::move(failure.error)) {}

  // Holds a T made of `args`, where it stands: for values too large to be moved about.
  template <typename... Args>
  constexpr explicit Result(std::in_place_t, Args&&... args)
      : held_(std::in_place_index<0>, std::forward<Args>(args)...) {}

  [[nodiscard]] constexpr bool ok() const { return held_.index() == 0; }
  constexpr explicit operator bool() const { return ok(); }

  // REQUIRES: ok().
  [[nodiscard]] constexpr T& value() & { return *std::get_if<0>(&held_); }
  [[nodiscard]] constexpr const T& value() const& { return *std::get_if<0>(&held_); }
  [[nodiscard]] constexpr T&& value() && { return std::move(*std::get_if<0>(&held_)); }
  constexpr T& operator*() & { return value(); }
  constexpr const T& operator*() const& { return value(); }
  constexpr T* operator->() { return std::get_if<0>(&held_); }
  constexpr const T* operator->() const { return std::get_if<0>(&held_); }

  // REQUIRES: !ok().
  [[nodiscard]] constexpr E& error() & { return *std::get_if<1>(&held_); }
  [[nodiscard]] constexpr const E& error() const& { return *std::get_if<1>(&held_); }

 private:
  std::variant<T, E> held_;
};

// For calls that answer only "done" or "why not".
struct Done {
  friend constexpr bool operator==(Done, Done) = default;
};

}  // namespace weir
