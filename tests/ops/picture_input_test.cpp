// The bytes that a draw names, element by element, by the definition in kernels/picture.h.
#include <doctest/doctest.h>

#include "ops/picture_stem.h"
#include "tests/gpu_device.h"
#include "tests/ops/case_runner.h"

using namespace nascent;
using namespace nascent::testing;

TEST_CASE("a picture's input is its crop, mirrored after it was padded, by the table") {
    auto device = make_device("cpu", 2);
    struct Sizes {
        int count, h, w, pad_y, pad_x;
    };
    for (const Sizes& s : {Sizes{3, 5, 7, 2, 1}, Sizes{2, 6, 3, 0, 3}, Sizes{4, 4, 20, 1, 0}}) {
        CAPTURE(s.h);
        Arena arena(*device, std::size_t{1} << 26, true);
        ExecutionScope execution(arena);
        std::vector<std::int32_t> draws;  // every place of every picture, both ways
        for (int picture = 0; picture < s.count; picture++)
            for (int top = 0; top <= 2 * s.pad_y; top++)
                for (int left = 0; left <= 2 * s.pad_x; left++)
                    for (int flip : {0, 1}) draws.insert(draws.end(), {picture, top, left, flip});
        const auto n = static_cast<std::int64_t>(draws.size() / 4);
        const PictureInput in{arena.tensor({s.count, s.h, s.w, 3}, DType::u8), arena.tensor({n, 4}, DType::i32),
                              arena.tensor({256, 3}, DType::f32), s.pad_y, s.pad_x};
        std::vector<std::uint8_t> bytes(in.pictures.size());
        for (std::size_t i = 0; i < bytes.size(); i++)
            bytes[i] =
                static_cast<std::uint8_t>(Random(3, RandomStream::test, 1, static_cast<std::uint32_t>(i)).word(0));
        std::vector<float> table(in.table.size());  // all different
        for (std::size_t i = 0; i < table.size(); i++) table[i] = static_cast<float>(i) + 0.5F;
        device->copy_in(in.pictures.data, bytes.data(), bytes.size());
        device->copy_in(in.draws.data, draws.data(), in.draws.bytes());
        device->copy_in(in.table.data, table.data(), in.table.bytes());
        const Numbers x = to_host(picture_input(in));
        REQUIRE(x.size() == static_cast<std::size_t>(n * s.h * s.w * 3));
        std::size_t at = 0, wrong = 0;
        for (std::size_t i = 0; i < draws.size(); i += 4)
            for (int y = 0; y < s.h; y++)
                for (int column = 0; column < s.w; column++)
                    for (int c = 0; c < 3; c++, at++) {
                        const int row = y + draws[i + 1] - s.pad_y, from = column + draws[i + 2] - s.pad_x;
                        std::uint8_t byte = 0;
                        if (row >= 0 && row < s.h && from >= 0 && from < s.w) {
                            const int mirrored = draws[i + 3] ? s.w - 1 - from : from;
                            byte = bytes[static_cast<std::size_t>(((draws[i] * s.h + row) * s.w + mirrored) * 3 + c)];
                        }
                        wrong += x[at] != table[static_cast<std::size_t>(byte * 3 + c)];
                    }
        CHECK(wrong == 0);
        arena.check_red_zones();
    }
}

TEST_CASE("what a network sees is stored as its activations are") {
    const auto gpu = gpu_device(), cpu = make_device("cpu", 1);
    for (Device* device : {gpu.get(), cpu.get()}) {
        if (!device) continue;
        Arena arena(*device, std::size_t{1} << 26, true);
        ExecutionScope execution(arena);
        for (DType dtype : {DType::f32, DType::f64}) {
            const Tensor x = arena.tensor({1, 2, 3, 1}, dtype);
            with_type(dtype, [&](auto zero) {
                // Halves of what bf16 tells apart around 1: to the nearest, and from the middle to the even one.
                const std::vector<decltype(zero)> host{1, 1.25, -3, 1 + 0x1p-8, 1 + 3 * 0x1p-8, 1 + 0x1p-7};
                device->copy_in(x.data, host.data(), x.bytes());
            });
            const PictureInput in{arena.tensor({1, 2, 2, 3}, DType::u8), arena.tensor({1, 4}, DType::i32),
                                  arena.tensor({256, 3}, dtype), 0, 0};
            device->fill(in.pictures.data, 0, in.pictures.bytes());
            device->fill(in.draws.data, 0, in.draws.bytes());
            device->fill(in.table.data, 0, in.table.bytes());
            CHECK(as_activations(x).data == x.data);
            CHECK(picture_input(in).dtype == dtype);
            if (device == cpu.get()) continue;
            device->kernel_options.precision = Precision::bf16;
            const bool stored = dtype == DType::f32;  // float64 is for tests, and stays
            const Tensor y = as_activations(x);
            CHECK(y.dtype == (stored ? DType::bf16 : dtype));
            CHECK((y.data == x.data) == !stored);
            if (stored) CHECK(to_host(y) == Numbers{1, 1.25, -3, 1, 1 + 0x1p-6, 1 + 0x1p-7});
            CHECK(picture_input(in).dtype == y.dtype);
            device->kernel_options.precision = Precision::float32;
        }
    }
}
