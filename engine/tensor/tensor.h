// A tensor: where its bytes are, their shape and type, and which value of the tape it is. No arithmetic: that is ops/.
#pragma once
#include <span>

#include "engine/tensor/shape.h"

namespace nascent {

class Device;

/// A value's place: on the tape (>= 0), a parameter of the store (<= parameter_base), or nothing a gradient is wanted
/// for.
struct ValueId {
    static constexpr int none = -1, parameter_base = -2;
    int value = none;
    static ValueId parameter(int index) { return {parameter_base - index}; }
    bool wanted() const { return value != none; }
    bool is_parameter() const { return value <= parameter_base; }
    int parameter_index() const { return parameter_base - value; }
};

/// Contiguous, images NHWC. A view: the memory belongs to an arena or a store, which outlives it.
struct Tensor {
    Shape shape;
    DType dtype = DType::f32;
    Device* device = nullptr;
    void* data = nullptr;
    ValueId id;
    const void* rounded = nullptr;  // the elements once more, as the nearest bf16, where somebody keeps them so

    /// The same memory seen the same way; whatever place on a tape.
    bool operator==(const Tensor& other) const {
        return shape == other.shape && dtype == other.dtype && device == other.device && data == other.data &&
               rounded == other.rounded;
    }
    std::size_t size() const { return shape.size(); }
    std::size_t bytes() const { return size() * size_of(dtype); }
    bool defined() const { return data != nullptr; }
    /// The elements' address; throws where T is not the element type.
    template <class T>
    T* as() const {
        NASCENT_CHECK(dtype == dtype_of<T>(), runtime, "expected {}, the tensor is {}", name_of(dtype_of<T>()),
                      name_of(dtype));
        return static_cast<T*>(data);
    }
    /// The elements of a tensor in the host's memory.
    template <class T>
    std::span<T> span() const {
        return {as<T>(), size()};
    }
    /// The same bytes as a constant: no gradient is wanted.
    Tensor detached() const {
        Tensor t = *this;
        t.id = {};
        return t;
    }
};

}  // namespace nascent
