// What primitive ops refuse, and batch-norm's running statistics against their definition.
#include <doctest/doctest.h>

#include <cfloat>
#include <cmath>

#include "ops/reference.h"
#include "tests/gpu_device.h"
#include "tests/ops/case_runner.h"

using namespace nascent;
using namespace nascent::testing;

namespace {

std::string refusal(const std::function<void()>& f) {
    try {
        f();
    } catch (const Error& e) {
        return e.what();
    }
    return "nothing was thrown";
}
bool says(const std::function<void()>& f, const char* expected) {
    const std::string message = refusal(f);
    INFO(message);
    const bool found = message.find(expected) != std::string::npos;
    CHECK(found);
    return found;
}

}  // namespace

TEST_CASE("primitive ops refuse shapes that do not fit") {
    const auto device = make_device("cpu", 1);
    Arena arena(*device, std::size_t{1} << 26, true);
    ExecutionScope execution(arena);
    auto make = [](std::initializer_list<std::int64_t> s, DType t = DType::f32) { return empty(Shape(s), t); };
    const kernels::Window half{{1, 2}, {1, 2}}, second{{1, 2, 1, -1}, {1, 2, 1, -1}};
    const Tensor odd = make({1, 7, 7, 4}), w = make({1, 1, 4, 2});
    // FactorizedReduce of an odd size: its halves have 4 x 4 and 3 x 3 pixels.
    says(
        [&] {
            const Tensor halves[] = {conv2d(odd, w, half), conv2d(odd, w, second)};
            concat(halves);
        },
        "got float32 (1, 4, 4, 2) and float32 (1, 3, 3, 2)");
    const Tensor even = make({1, 8, 8, 4}), halves[] = {conv2d(even, w, half), conv2d(even, w, second)};
    CHECK(concat(halves).shape == Shape({1, 4, 4, 4}));
    says([&] { conv2d(make({1, 1, 1, 4}), w, second); }, "windows of 1 x 1 taps do not fit x (1, 1, 1, 4)");
    says([&] { conv2d(odd, w, {{1, 0}, {1}}); }, "strides 0 and 1");
    says([&] { conv2d(odd, w, {{1}, {3}}); }, "weights: expected float32 (1, 3, 4, c_out)");
    says([&] { conv2d(odd, make({1, 1, 4, 2}, DType::f64), half); }, "got float64 (1, 1, 4, 2)");
    says([&] { conv2d(odd, make({5, 5, 4, 2}), 1); }, "k 1 or 3");
    says([&] { depthwise(odd, make({3, 3, 5})); }, "weights: expected float32 (3, 3, 4)");
    says([&] { depthwise(odd, make({2, 2, 4})); }, "k odd");
    says([&] { depthwise(odd, make({3, 3, 4}), 0); }, "stride 0");
    says([&] { depthwise(odd, make({3, 3, 4}), 1, 0); }, "dilation 0");
    says([&] { max_pool(odd, 3, 1, 2); }, "padding 2");
    says([&] { max_pool(odd, 0, 1, 0); }, "0 x 0 pixels");
    says([&] { max_pool(odd, 17, 1, 8); }, "17 x 17 pixels");  // a tap would not fit its byte
    says([&] { avg_pool(make({1, 4, 4, 3}), 5, 3, 0); }, "does not fit x (1, 4, 4, 3)");
    says([&] { concat({}); }, "nothing to concatenate");
    says([&] { slice_channels(odd, 2, 3); }, "channels 2 to 4");
    says([&] { slice_channels(odd, -1, 3); }, "there are 4");
    says([&] { slice_channels(odd, 1, 0); }, "there are 4");
    says([&] { zero(odd, 0); }, "stride 0");
    says([&] { weighted(odd, make({14, 8}), 112); }, "the weights are float32 (14, 8)");
    says([&] { weighted(odd, make({14, 8}), -1); }, "weight -1");
    says([&] { weighted(odd, make({14, 8}, DType::f64), 0); }, "float64 (14, 8)");
    says([&] { softmax(make({8})); }, "expected (rows, columns)");
    const Tensor logits = make({3, 4}), labels = make({3}, DType::i32);
    auto with_label = [&](std::int32_t label) {
        const std::int32_t host[] = {0, 3, label};
        device->copy_in(labels.data, host, sizeof host);
        cross_entropy(logits, labels);
    };
    device->fill(logits.data, 0, logits.bytes());
    with_label(3);
    says([&] { with_label(4); }, "label 4 is not in [0, 4)");
    says([&] { with_label(-1); }, "label -1");
    says([&] { cross_entropy(logits, labels, 1); }, "expected [0, 1), got 1");
    says([&] { cross_entropy(logits, make({4}, DType::i32)); }, "labels (n)");
}

TEST_CASE("a batch has less than 2^31 pixels") {
    auto pictures = [](std::int64_t n) {
        Tensor t;
        t.shape = {n, 256, 512, 1};
        return t;
    };
    CHECK(image_of(pictures((1 << 14) - 1)).n == (1 << 14) - 1);
    says([&] { image_of(pictures(1 << 14), "pictures"); },
         "pictures (16384, 256, 512, 1): 2147483648 pixels in a batch, expected less than 2^31; a smaller batch");
}

TEST_CASE("batch-norm with and without weights moves and uses running statistics as torch.nn.BatchNorm2d") {
    for (const char* device_name : {"cpu", "gpu"})
        for (DType dtype : {DType::f64, DType::f32})
            for (bool affine : {false, true}) {
                const auto device = std::string(device_name) == "gpu" ? gpu_device() : make_device("cpu", 2);
                if (!device) continue;
                CAPTURE(device_name);
                CAPTURE(name_of(dtype));
                CAPTURE(affine);
                Arena arena(*device, std::size_t{1} << 26, true);
                ExecutionScope execution(arena);
                constexpr std::int64_t kChannels = 7, kPixels = 3 * 5 * 3;
                auto filled = [&](const Shape& s, std::uint32_t stream, double shift = 0) {
                    Tensor t = empty(s, dtype);
                    Numbers values = random_numbers(s.size(), stream);
                    for (double& v : values) v += shift;
                    from_host(t, values);
                    return t;
                };
                const Tensor x = filled({3, 5, 3, kChannels}, 1), gamma = filled({kChannels}, 2),
                             beta = filled({kChannels}, 3);
                NormArgs args{filled({kChannels}, 4), filled({kChannels}, 5, 2)};
                const Numbers in = to_host(x), mean0 = to_host(args.running_mean), var0 = to_host(args.running_var),
                              g = to_host(gamma), b = to_host(beta);
                auto run = [&] {
                    return to_host(batch_norm(x, affine ? gamma : Tensor{}, affine ? beta : Tensor{}, args));
                };
                const Numbers trained = run(), mean1 = to_host(args.running_mean), var1 = to_host(args.running_var);
                args.training = false;
                const Numbers evaluated = run();
                CHECK(to_host(args.running_mean) == mean1);
                CHECK(to_host(args.running_var) == var1);
                // Sums of 45 numbers below 1, in double or in the type; 1 / sqrt(variance) is below 4; sums of a few
                // such.
                const double bound = 8 * (dtype == DType::f64 ? DBL_EPSILON : FLT_EPSILON) * kPixels;
                for (std::size_t c = 0; c < kChannels; c++) {
                    long double mean = 0, squares = 0;
                    for (std::size_t p = 0; p < kPixels; p++) mean += in[p * kChannels + c] / kPixels;
                    for (std::size_t p = 0; p < kPixels; p++)
                        squares += (in[p * kChannels + c] - mean) * (in[p * kChannels + c] - mean);
                    CHECK(std::abs(mean1[c] - static_cast<double>(0.9L * mean0[c] + 0.1L * mean)) <= bound);
                    CHECK(std::abs(var1[c] - static_cast<double>(0.9L * var0[c] + 0.1L * squares / (kPixels - 1))) <=
                          bound);
                    REQUIRE(squares / kPixels > 1.0 / 16);
                    REQUIRE(var1[c] > 1.0 / 16);
                    for (std::size_t p = 0; p < kPixels; p++) {
                        const std::size_t at = p * kChannels + c;
                        auto normed = [&](long double m, long double v) {
                            const long double z = (in[at] - m) / std::sqrt(v + 1e-5L);
                            return static_cast<double>(affine ? z * g[c] + b[c] : z);
                        };
                        CHECK(std::abs(trained[at] - normed(mean, squares / kPixels)) <= bound);
                        CHECK(std::abs(evaluated[at] - normed(mean1[c], var1[c])) <= bound);
                    }
                }
            }
}
