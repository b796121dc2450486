// SPDX-License-Identifier: Apache-2.0
//
// A number becomes an address only where somebody writes down which kind it is.
// expect-error: (error: conversion from .* to non-scalar type|error: could not convert|error: cannot convert|error: no viable conversion)
#include "base/address.h"

weir::Iova implicit() {
  weir::Iova iova = 5;
  return iova;
}
