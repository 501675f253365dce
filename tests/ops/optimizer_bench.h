// A store and chosen gradients, to run an optimizer on.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "tests/ops/case_runner.h"

namespace nascent::testing {

/// A store of ranges of a few parameters, and a way to write chosen gradients.
struct Bench {
    std::unique_ptr<Device> device = make_device("cpu", 2);
    ParameterStore store;
    Arena arena;
    int ranges;
    static constexpr int length = 37;
    explicit Bench(int n, DType dtype) : store(*device, dtype), arena(*device, std::size_t{1} << 26, true), ranges(n) {
        for (int r = 0; r < n; r++) {
            store.begin_range("r" + std::to_string(r));
            store.add("w" + std::to_string(r), {length});
        }
        store.allocate();
        for (int r = 0; r < n; r++) from_host(store.raw(r), random_numbers(length, static_cast<std::uint32_t>(r)));
    }
    /// One optimizer step in which the ranges named by `on` get the gradient g(range, step), and those named by
    /// `dead` are read by the forward but do not reach the loss.
    template <class Optimizer>
    void step(Optimizer& optimizer, const std::vector<int>& on, const std::vector<int>& dead = {}) {
        arena.reset();
        Tape tape(arena, &store);
        TapeScope recording(&tape);
        const int number = static_cast<int>(optimizer.step_number());
        std::vector<Tensor> inputs;
        for (int r : on) inputs.push_back(store.read(r));
        for (int r : dead) store.read(r);
        Tensor y = arena.tensor({1}, store.dtype());
        from_host(y, {1});
        y.id = tape.record("test", inputs, y, [&](const Tensor&, std::span<Into> into) {
            for (std::size_t i = 0; i < into.size(); i++) from_host(into[i].grad, gradient(on[i], number));
        });
        tape.backward(y, y.detached());
        norm = optimizer.step(tape);
    }
    static Numbers gradient(int range, int step) {
        return random_numbers(length, static_cast<std::uint32_t>(1000 + 100 * step + range));
    }
    double norm = 0;
};

inline double rate(std::int64_t step) { return 0.1 / (1 + static_cast<double>(step)); }

/// Each range is on about every fourth path.
inline bool on_path(int range, int step) {
    return Random(3, RandomStream::test, static_cast<std::uint64_t>(step), static_cast<std::uint32_t>(range))
               .below(0, 4) == 0;
}

}  // namespace nascent::testing
