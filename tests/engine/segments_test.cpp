// Captured calls of an op that only fills: which are the same, and what is counted.
#include "engine/autograd/segments.h"

#include <doctest/doctest.h>

#include "engine/autograd/execution.h"
#include "tests/gpu_device.h"

using namespace nascent;

namespace {

struct Fill {
    int byte;
    bool operator==(const Fill&) const = default;

    Tensor forward(std::span<const Tensor> in, std::vector<Tensor>& saved) const {
        calls++;
        saved.push_back(in[0]);
        const Tensor y = current_arena().tensor({4}, DType::u8);
        y.device->fill(y.data, byte, 4);
        return y;
    }
    void backward(const Tensor&, std::span<Into> into, std::span<const Tensor>, const std::vector<Tensor>&) const {
        calls++;
        const Tensor& to = into[0].grad;
        to.device->fill(to.data, byte + (into[0].accumulate() ? 1 : 0), 2);
        to.device->fill(static_cast<std::byte*>(to.data) + 2, byte, 2);
    }
    inline static int calls = 0;
};

int first_byte(const Tensor& t) {
    unsigned char byte = 0;
    t.device->copy_out(&byte, t.data, 1);
    return byte;
}

}  // namespace

TEST_CASE("segments replay from the third time on what is the same call on the same memory") {
    const auto device = testing::gpu_device();
    if (!device) return;
    Arena kept(*device, std::size_t{1} << 24, false), step(*device, std::size_t{1} << 24, false);
    const Tensor x = kept.tensor({4}, DType::u8), other = kept.tensor({4}, DType::u8), dy = kept.tensor({4}, DType::u8);
    Segments segments(*device, 4);
    const ExecutionScope execution(step);
    auto forward = [&](int byte, const Tensor& in) {
        step.reset();
        std::vector<Tensor> saved;
        const Tensor y = segments.forward(Fill{byte}, std::span(&in, 1), saved);
        REQUIRE(saved.size() == 1);
        CHECK(saved[0].data == in.data);
        CHECK(step.used() > 0);
        return first_byte(y);
    };
    auto backward = [&](int byte, Write how) {
        step.reset();
        Into into[] = {{other, how}};
        segments.backward(Fill{byte}, dy, into, std::span(&x, 1), {});
        return first_byte(other);
    };
    Fill::calls = 0;
    for (int i = 0; i < 4; i++) CHECK(forward(7, x) == 7);
    CHECK(Fill::calls == 2);
    CHECK(segments.size() == 1);
    CHECK(segments.replays() == 2);
    CHECK(segments.replayed_nodes() == 2);
    // Another op, another input, a backward, one that accumulates.
    for (int i = 0; i < 3; i++) CHECK(forward(8, x) == 8);
    for (int i = 0; i < 3; i++) CHECK(forward(7, other) == 7);
    for (int i = 0; i < 3; i++) CHECK(backward(7, Write::overwrite) == 7);
    CHECK(segments.size() == 4);
    CHECK(segments.replays() == 5);
    CHECK(segments.replayed_nodes() == 2 + 1 + 1 + 2);
    CHECK(Fill::calls == 8);
    // A fifth does not fit: all begin anew.
    CHECK(backward(7, Write::accumulate) == 8);
    CHECK(segments.size() == 1);
    CHECK(forward(7, x) == 7);
    CHECK(Fill::calls == 10);
    CHECK(segments.replays() == 5);
    CHECK_THROWS_AS(Segments(*make_device("cpu", 1)), Error);
}
