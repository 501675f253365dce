// Element types and shapes.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "engine/base/error.h"

namespace nascent {

/// bf16 (the upper half of a float) is for activations and their gradients on the gpu; parameters are f32 or f64.
enum class DType : std::uint8_t { f32, f64, i32, u8, bf16 };  // name_of and size_of know them in this order

inline std::size_t size_of(DType t) {
    constexpr std::uint8_t sizes[] = {4, 8, 4, 1, 2};
    return sizes[static_cast<std::size_t>(t)];
}
const char* name_of(DType t);
template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
    return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
    return DType::f64;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
    return DType::i32;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
    return DType::u8;
}

/// Calls f with a value of the floating type that `t` names: with_type(t, [&](auto zero) { using T = decltype(zero);
/// ... }).
template <class F>
decltype(auto) with_type(DType t, F&& f) {
    if (t == DType::f32) return f(float{});
    NASCENT_CHECK(t == DType::f64, runtime, "expected a floating type, got {}", name_of(t));
    return f(double{});
}

/// Up to four extents; images are (n, h, w, c), convolution weights (k, k, c_in, c_out).
class Shape {
  public:
    Shape() = default;
    Shape(std::initializer_list<std::int64_t> dims);
    int rank() const { return rank_; }
    std::int64_t operator[](int i) const { return dims_[static_cast<std::size_t>(i)]; }
    /// Product of the extents; 1 for a scalar.
    std::size_t size() const;
    std::string text() const;
    /// The same but for the first extent. Throws Error(runtime) for a scalar.
    Shape with_first(std::int64_t extent) const;
    bool operator==(const Shape&) const = default;

  private:
    std::array<std::int64_t, 4> dims_{};
    int rank_ = 0;
};

}  // namespace nascent
