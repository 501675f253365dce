#include "kernels/head.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct CrossEntropy {
    static constexpr const char* name = "cross_entropy";
    bool operator==(const CrossEntropy&) const = default;
    Tensor labels;
    double smoothing;
    Tensor forward(Inputs in, Saved& saved) const {
        const Tensor& x = in[0];
        NASCENT_CHECK(x.shape.rank() == 2 && labels.shape == Shape({x.shape[0]}), runtime,
                      "expected logits (n, classes) and labels (n), got {} and {}", x.shape.text(),
                      labels.shape.text());
        NASCENT_CHECK(smoothing >= 0 && smoothing < 1, runtime, "label smoothing: expected [0, 1), got {}", smoothing);
        const int classes = static_cast<int>(x.shape[1]);
        if (labels.device->kind() == DeviceKind::cpu)  // elsewhere the kernel's loss is not a number then
            for (std::int32_t label : labels.span<std::int32_t>())
                NASCENT_CHECK(label >= 0 && label < classes, runtime, "label {} is not in [0, {})", label, classes);
        Tensor loss = empty({1}, x.dtype), probabilities = empty(x.shape, x.dtype);
        ScratchScope scratch(current_arena());
        with_type(x.dtype, [&](auto zero) {
            using T = decltype(zero);
            const kernels::Stream stream = kernel_stream();
            const int n = static_cast<int>(x.shape[0]);
            kernels::cross_entropy_forward<T>(stream, n, classes, x.as<T>(), labels.as<std::int32_t>(),
                                              static_cast<T>(smoothing), loss.as<T>(), probabilities.as<T>(),
                                              workspace(kernels::cross_entropy_workspace(stream, n)));
        });
        saved = {probabilities};
        return loss;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        if (!into[0]) return;
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::cross_entropy_backward<T>(kernel_stream(), static_cast<int>(in[0].shape[0]),
                                               static_cast<int>(in[0].shape[1]), saved[0].as<T>(),
                                               labels.as<std::int32_t>(), static_cast<T>(smoothing), dy.as<T>(),
                                               into[0].as<T>(), into[0].accumulate());
        });
    }
    static Tensor sample_labels(int n, int classes) {
        Tensor labels = empty({n}, DType::i32);
        std::vector<std::int32_t> host(static_cast<std::size_t>(n));
        for (int i = 0; i < n; i++) host[static_cast<std::size_t>(i)] = (i * 7 + 3) % classes;
        labels.device->copy_in(labels.data, host.data(), labels.bytes());
        return labels;
    }
    static std::vector<Case> cases() {
        std::vector<Case> all;
        for (double smoothing : {0.0, 0.1})
            for (auto [n, classes] : {std::pair{1, 10}, {64, 10}, {7, 3}, {5, 101}})
                all.push_back({fmt::format("n{} classes{} smoothing{}", n, classes, smoothing),
                               {{n, classes}},
                               [n = n, classes = classes, smoothing](Inputs in) {
                                   return cross_entropy(in[0], sample_labels(n, classes), smoothing);
                               }});
        all.push_back({"used twice", {{6, 5}}, [](Inputs in) {
                           return add(cross_entropy(in[0], sample_labels(6, 5), 0),
                                      cross_entropy(in[0], sample_labels(6, 5), 0.2));
                       }});
        return all;
    }
};

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& labels, double smoothing) {
    return apply(CrossEntropy{labels, smoothing}, {logits});
}

}  // namespace nascent
