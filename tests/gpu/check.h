// Shared by the GPU kernels' tests: three orders of the threads, aligned and misaligned buffers, and what the CPU's
// kernels give in double.
#pragma once
#include <algorithm>

#include "kernels/simt/emulator.h"
#include "tests/kernels/check.h"

namespace nascent::test {

constexpr kernels::Stream kGpu{.where = kernels::Where::gpu};  // does each launch at once
constexpr kernels::Stream kTf32{.where = kernels::Where::gpu, .precision = kernels::Precision::tf32};
inline kernels::Stream where(bool on_gpu) { return on_gpu ? kGpu : kernels::Stream{}; }

/// f returns the outputs, whose bits must agree in every order.
template <class F>
void in_every_order(F&& f) {
    simt::set_order(simt::Order::forward);
    const auto first = f();
    for (auto order : {simt::Order::reverse, simt::Order::shuffled}) {
        simt::set_order(order, 11);
        const auto again = f();
        for (std::size_t i = 0; i < first.size(); i++) CHECK(first[i].same_bits(again[i]));
    }
    simt::set_order(simt::Order::forward);
}

/// f(true) gives the GPU's outputs, f(false) the CPU's.
template <class F>
void same_bits_in_every_order(F&& f) {
    const auto want = f(false);
    in_every_order([&] {
        auto got = f(true);
        for (std::size_t i = 0; i < want.size(); i++) {
            CAPTURE(i);
            CHECK(got[i].same_bits(want[i]));
            CHECK(got[i].intact());
        }
        return got;
    });
}

/// Twice: 16 bytes at a time where the channels allow it, and off such an address.
template <class T>
Guarded<T> at_skew(const Guarded<T>& v, bool aligned) {
    // A vector's memory is a multiple of 16 bytes; 32 elements of guard keep that.
    Guarded<T> moved(v.size(), aligned ? 0 : 1);
    std::copy(v.begin(), v.end(), moved.begin());
    return moved;
}

inline Guarded<double> wide(const Guarded<float>& v) {
    Guarded<double> w(v.size());
    std::copy(v.begin(), v.end(), w.begin());
    return w;
}
inline Guarded<double> wide(const Guarded<double>& v) { return v; }
template <class T>
Guarded<T> magnitudes(Guarded<T> v) {
    for (T& x : v) x = std::fabs(x);
    return v;
}

/// What a CPU kernel gives in double for the inputs and for their magnitudes. `cpu` maps inputs to outputs.
template <class T, class F>
std::vector<std::vector<Bounded>> expect(const std::vector<Guarded<T>>& inputs, F&& cpu) {
    std::vector<Guarded<double>> values, positive;
    for (const Guarded<T>& v : inputs) {
        values.push_back(wide(v));
        positive.push_back(magnitudes(wide(v)));
    }
    const std::vector<Guarded<double>> value = cpu(values), magnitude = cpu(positive);
    std::vector<std::vector<Bounded>> want(value.size());
    for (std::size_t i = 0; i < value.size(); i++)
        for (std::size_t j = 0; j < value[i].size(); j++) want[i].push_back({value[i][j], magnitude[i][j]});
    return want;
}

template <class T>
std::vector<const T*> pointers(const std::vector<Guarded<T>>& v, std::size_t first, std::size_t count) {
    std::vector<const T*> p;
    for (std::size_t i = first; i < first + count; i++) p.push_back(v[i].data());
    return p;
}

/// Doubles as elements of T, for comparing bits.
template <class T>
Guarded<T> bits_of(const Guarded<double>& values) {
    Guarded<T> bits(values.size() * sizeof(double) / sizeof(T));
    std::memcpy(bits.data(), values.data(), values.size() * sizeof(double));
    return bits;
}

}  // namespace nascent::test
