// Shared by the kernel tests: guarded buffers, streams over a thread pool, targets, and comparison by error bound.
#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "engine/base/thread_pool.h"
#include "kernels/stream.h"
#include "kernels/target.h"

namespace nascent::test {

using Real = long double;  // of the references

/// A buffer between two runs of sentinels. Its start is `skew` elements off a cache line.
template <class T>
class Guarded {
  public:
    explicit Guarded(std::size_t size = 0, std::size_t skew = 1)
        : size_(size), skew_(skew), data_(size + skew + 2 * kGuard) {
        for (T& x : data_) x = sentinel();
        for (T& x : *this)
            x = unwritten();  // an output left so is not equal to anything; of integers it is the largest
    }
    T* begin() { return data_.data() + kGuard + skew_; }
    T* end() { return begin() + size_; }
    const T* begin() const { return data_.data() + kGuard + skew_; }
    const T* end() const { return begin() + size_; }
    T* data() { return begin(); }
    const T* data() const { return begin(); }
    std::size_t size() const { return size_; }
    T& operator[](std::size_t i) { return begin()[i]; }
    const T& operator[](std::size_t i) const { return begin()[i]; }
    bool intact() const {
        for (std::size_t i = 0; i < data_.size(); i++)
            if ((i < kGuard + skew_ || i >= kGuard + skew_ + size_) && data_[i] != sentinel()) return false;
        return true;
    }
    bool same_bits(const Guarded& other) const {
        return size_ == other.size_ && std::memcmp(data(), other.data(), size_ * sizeof(T)) == 0;
    }

  private:
    static constexpr std::size_t kGuard = 32;
    static constexpr T sentinel() {
        if constexpr (std::is_integral_v<T>)
            return std::numeric_limits<T>::max() / 2;
        else
            return T(0x1p100);  // also shows where a kernel reads beyond an input
    }
    static constexpr T unwritten() {
        return std::is_integral_v<T> ? std::numeric_limits<T>::max() : std::numeric_limits<T>::quiet_NaN();
    }
    std::size_t size_, skew_;
    std::vector<T> data_;
};

/// Workspace of exactly the bytes asked for, 64-byte aligned, full of not-a-numbers, with guards around.
class Workspace {
  public:
    explicit Workspace(std::size_t bytes) : bytes_(bytes), data_((bytes + 63) / 64 + 2) {
        std::memset(data_.data(), 0xFF, data_.size() * 64);
        std::memset(data_.data(), 0x5A, 64);
        std::memset(static_cast<char*>(get()) + bytes, 0x5A, 64);
    }
    void* get() { return data_.data() + 1; }
    bool intact() {
        const char *before = reinterpret_cast<char*>(data_.data()), *after = static_cast<char*>(get()) + bytes_;
        for (int i = 0; i < 64; i++)
            if (before[i] != 0x5A || after[i] != 0x5A) return false;
        return true;
    }

  private:
    struct alignas(64) Line {
        char bytes[64];
    };
    std::size_t bytes_;
    std::vector<Line> data_;
};

inline kernels::Stream stream_of(ThreadPool& pool) {
    return {kernels::Where::cpu, &pool, pool.threads(),
            +[](void* handle, int chunks, void (*body)(void*, int, int), void* context) {
                static_cast<ThreadPool*>(handle)->run(chunks, body, context);
            }};
}

/// f under every target of this machine.
template <class F>
void for_each_target(F&& f) {
    const std::string before(kernels::cpu_target());
    for (std::string_view name : kernels::cpu_targets()) {
        kernels::force_cpu_target(name);
        INFO("target ", std::string(name));
        f();
    }
    kernels::force_cpu_target(before);
}

/// f under every target with 1 to 4 threads; f returns the outputs, whose bits must agree.
template <class F>
void for_each_target_and_threads(F&& f) {
    ThreadPool one(1), two(2), three(3), four(4);
    for_each_target([&] {
        auto first = f(stream_of(one));
        for (ThreadPool* pool : {&two, &three, &four}) {
            auto again = f(stream_of(*pool));
            REQUIRE(first.size() == again.size());
            for (std::size_t i = 0; i < first.size(); i++) {
                INFO("output ", i, " with ", pool->threads(), " threads");
                CHECK(first[i].same_bits(again[i]));
            }
        }
        auto inline_stream = f(kernels::Stream{});
        for (std::size_t i = 0; i < first.size(); i++) CHECK(first[i].same_bits(inline_stream[i]));
    });
}

/// A value and the sum of the magnitudes that went into it: rounding errors are bounded by the latter.
struct Bounded {
    Real value = 0, magnitude = 0;
    void add(Real term) { value += term, magnitude += std::fabs(term); }
    void add_product(const Bounded& a, Real b) { value += a.value * b, magnitude += a.magnitude * std::fabs(b); }
};

/// |got - want| <= operations * epsilon * magnitude for every element. `operations` bounds the roundings on the way to
/// one result; epsilon is twice the unit roundoff, which covers terms of second order. Not-a-number fails.
template <class T, class U>
void check_close(const Guarded<T>& got, const std::vector<Bounded>& want, double operations, const char* what,
                 U epsilon = std::numeric_limits<T>::epsilon()) {
    INFO(std::string(what));
    REQUIRE(got.size() == want.size());
    CHECK(got.intact());
    for (std::size_t i = 0; i < want.size(); i++) {
        const Real error = std::fabs(static_cast<Real>(got[i]) - want[i].value);
        const Real bound = operations * static_cast<Real>(epsilon) * want[i].magnitude + std::numeric_limits<T>::min();
        if (!(error <= bound)) {
            INFO("element ", i, " of ", want.size(), ": got ", static_cast<double>(got[i]), ", expected ",
                 static_cast<double>(want[i].value), ", error ", static_cast<double>(error), ", allowed ",
                 static_cast<double>(bound));
            CHECK(false);
            return;
        }
    }
}
template <class T>
void check_close(const Guarded<T>& got, const std::vector<Bounded>& want, double operations, const char* what) {
    check_close(got, want, operations, what, std::numeric_limits<T>::epsilon());
}

/// Random numbers for inputs.
class Numbers {
  public:
    explicit Numbers(unsigned seed) : engine_(seed) {}
    /// Uniform in [-1, 1).
    template <class T>
    Guarded<T> uniform(std::size_t size) {
        Guarded<T> v(size);
        std::uniform_real_distribution<T> draw(-1, 1);
        for (T& x : v) x = draw(engine_);
        return v;
    }
    /// (offset + an integer in [-range, range]) / denominator: short binary fractions, so that affine maps of them are
    /// exact and the sign before a ReLU is certain.
    template <class T>
    Guarded<T> fractions(std::size_t size, int range, double denominator, double offset = 0) {
        Guarded<T> v(size);
        std::uniform_int_distribution<int> draw(-range, range);
        for (T& x : v) x = static_cast<T>((draw(engine_) + offset) / denominator);
        return v;
    }
    int index(int count) { return std::uniform_int_distribution<int>(0, count - 1)(engine_); }

  private:
    std::mt19937 engine_;
};

}  // namespace nascent::test
