// The loss: small, and made of exponentials, so plain code on one thread, in double.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/head.h"

namespace nascent::kernels::cpu {

template <class T>
void cross_entropy_forward(const Stream&, int n, int classes, const T* logits, const int* labels, T smoothing, T* loss,
                           T* probabilities, void*) {
    const double even = static_cast<double>(smoothing) / classes;  // every class's share of the target
    double total = 0;
    for (int i = 0; i < n; i++, logits += classes, probabilities += classes) {
        const bool is_label = labels[i] >= 0 && labels[i] < classes;
        double top = is_label ? static_cast<double>(logits[0]) : std::numeric_limits<double>::quiet_NaN();
        for (int k = 1; k < classes; k++) top = std::max(top, static_cast<double>(logits[k]));
        double sum = 0, plain = 0;
        for (int k = 0; k < classes; k++) {
            const double shifted = logits[k] - top, e = std::exp(shifted);
            probabilities[k] = static_cast<T>(e);
            sum += e;
            plain += shifted;
        }
        for (int k = 0; k < classes; k++) probabilities[k] = static_cast<T>(probabilities[k] / sum);
        // log p_k = logits[k] - top - log(sum).
        const double log_sum = std::log(sum);
        const double hit = is_label ? logits[labels[i]] - top - log_sum : top;
        total -= (1 - static_cast<double>(smoothing)) * hit + even * (plain - classes * log_sum);
    }
    loss[0] = static_cast<T>(total / n);
}
std::size_t cross_entropy_workspace(const Stream&, int) { return 0; }

template <class T>
void cross_entropy_backward(const Stream&, int n, int classes, const T* probabilities, const int* labels, T smoothing,
                            const T* dloss, T* dlogits, bool accumulate) {
    const double scale = static_cast<double>(dloss[0]) / n, even = static_cast<double>(smoothing) / classes;
    for (int i = 0; i < n; i++, probabilities += classes, dlogits += classes)
        for (int k = 0; k < classes; k++) {
            const double target = even + (k == labels[i] ? 1 - static_cast<double>(smoothing) : 0.0);
            const T g = static_cast<T>(scale * (probabilities[k] - target));
            dlogits[k] = accumulate ? dlogits[k] + g : g;
        }
}

#define NASCENT_CROSS_ENTROPY(T)                                                                          \
    template void cross_entropy_forward(const Stream&, int, int, const T*, const int*, T, T*, T*, void*); \
    template void cross_entropy_backward(const Stream&, int, int, const T*, const int*, T, const T*, T*, bool);
NASCENT_CROSS_ENTROPY(float)
NASCENT_CROSS_ENTROPY(double)
#undef NASCENT_CROSS_ENTROPY

}  // namespace nascent::kernels::cpu
