// Which tensors are the same: by what a captured call is recognised.
#include "engine/tensor/tensor.h"

#include <doctest/doctest.h>

#include "engine/memory/arena.h"

using namespace nascent;

TEST_CASE("tensors are the same where shape, type, device and address are, on whatever tape") {
    const auto device = make_device("cpu", 1), other = make_device("cpu", 1);
    Arena arena(*device, std::size_t{1} << 20, true);
    const Tensor t = arena.tensor({2, 3}, DType::f32);
    Tensor same = t;
    same.id = {5};
    CHECK(same == t);
    Tensor turned = t, typed = t, moved = t, elsewhere = t, rounded = t;
    turned.shape = {3, 2};
    typed.dtype = DType::i32;
    moved.data = t.as<float>() + 1;
    elsewhere.device = other.get();
    rounded.rounded = t.data;
    for (const Tensor& x : {turned, typed, moved, elsewhere, rounded}) CHECK(!(x == t));
}
