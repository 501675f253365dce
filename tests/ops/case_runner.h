// Runs one op case on one device: fills the inputs, computes the value and the gradients, brings them to the host.
#pragma once
#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "engine/autograd/op.h"
#include "engine/base/rng.h"

namespace nascent::testing {

using Numbers = std::vector<double>;

struct Result {
    Numbers value;
    std::map<std::size_t, Numbers> gradients;  // by input; only those that were written
};

struct RunOptions {
    DType dtype = DType::f64;
    bool reference = false;
    bool twice = false;                            // the sum of two calls: every gradient is accumulated
    std::vector<bool> wanted = {};                 // by input; empty: as the case says
    int begun = -1;                                // an input that has a gradient, begun_gradient(), before the call's
    const std::vector<Numbers>* inputs = nullptr;  // instead of random ones
    Arena* kept = nullptr;                         // for the inputs, so that they come again at the same addresses
    Segments* segments = nullptr;                  // replays calls from captures
    const Numbers* cotangent = nullptr;            // instead of a random one
};

/// All registered ops, or with NASCENT_ONLY_OP=name that one: while it is being written.
inline bool asked_for(const OpEntry& op) {
    const char* only = std::getenv("NASCENT_ONLY_OP");
    return !only || op.name == std::string(only);
}
inline std::vector<OpEntry> ops_asked_for() {
    std::vector<OpEntry> ops;
    for (const OpEntry& op : registered_ops())
        if (asked_for(op)) ops.push_back(op);
    return ops;
}

inline Numbers random_numbers(std::size_t count, std::uint32_t stream) {
    Numbers x(count);
    for (std::size_t i = 0; i < count; i++) {
        const Random r(7, RandomStream::test, stream, static_cast<std::uint32_t>(i));
        x[i] = 2 * r.uniform(0) - 1;
        // Away from the kinks of ReLU, so that a difference quotient means something.
        if (std::abs(x[i]) < 1e-3) x[i] = x[i] < 0 ? -1e-3 : 1e-3;
    }
    return x;
}

inline std::vector<Numbers> random_inputs(const Case& c) {
    std::vector<Numbers> all;
    for (std::size_t i = 0; i < c.inputs.size(); i++)
        all.push_back(random_numbers(c.inputs[i].size(), static_cast<std::uint32_t>(i)));
    return all;
}

inline Numbers begun_gradient(const Case& c, int input) {
    return random_numbers(c.inputs[static_cast<std::size_t>(input)].size(), 2000);
}

inline float of_bf16(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
/// To the nearest, ties to even; finite.
inline std::uint16_t to_bf16(double v) {
    const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(v));
    return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
/// What a tensor of the type makes of numbers.
inline Numbers stored(Numbers x, DType dtype) {
    for (double& v : x)
        v = dtype == DType::bf16 ? of_bf16(to_bf16(v)) : dtype == DType::f32 ? static_cast<float>(v) : v;
    return x;
}
/// Of an input: with bf16 those are float32 that are no activations.
inline DType input_type(const Case& c, std::size_t input, DType dtype) {
    return dtype == DType::bf16 && static_cast<int>(input) >= c.activations ? DType::f32 : dtype;
}

/// float64 and float32, and bf16 where the case has it.
inline std::vector<DType> types_of(const Case& c) {
    std::vector<DType> types{DType::f64, DType::f32};
    if (c.activations >= 0) types.push_back(DType::bf16);
    return types;
}
/// Ops without an input that says so take the activations' type from the device.
inline void set_precision(Device& device, DType dtype) {
    device.kernel_options.precision = dtype == DType::bf16 ? Precision::bf16 : Precision::float32;
}

inline Numbers to_host(const Tensor& t) {
    Numbers host(t.size());
    if (t.dtype == DType::bf16) {
        std::vector<std::uint16_t> bits(t.size());
        t.device->copy_out(bits.data(), t.data, t.bytes());
        std::transform(bits.begin(), bits.end(), host.begin(), of_bf16);
        return host;
    }
    with_type(t.dtype, [&](auto zero) {
        std::vector<decltype(zero)> typed(t.size());
        t.device->copy_out(typed.data(), t.data, t.bytes());
        host.assign(typed.begin(), typed.end());
    });
    return host;
}

inline void from_host(const Tensor& t, const Numbers& host) {
    if (t.dtype == DType::bf16) {
        std::vector<std::uint16_t> bits(t.size());
        std::transform(host.begin(), host.end(), bits.begin(), to_bf16);
        return t.device->copy_in(t.data, bits.data(), t.bytes());
    }
    with_type(t.dtype, [&](auto zero) {
        std::vector<decltype(zero)> typed(host.begin(), host.end());
        t.device->copy_in(t.data, typed.data(), t.bytes());
    });
}

inline bool differentiable(const Case& c, std::size_t input) {
    return c.differentiable.empty() || c.differentiable[input];
}

/// `inputs` stay in an arena of their own; the step's arena is checked (red zones, NaN fill) and reset at the end.
inline Result run_case(const Case& c, Arena& step, const RunOptions& options) {
    Result result;
    const std::vector<Numbers> host = options.inputs ? *options.inputs : random_inputs(c);
    std::unique_ptr<Arena> own(options.kept ? nullptr : new Arena(step.device(), std::size_t{1} << 30, true));
    Arena& kept = options.kept ? *options.kept : *own;
    {
        ExecutionScope execution(step);
        CapturedScope captured(options.segments, nullptr);
        Tape tape(step, nullptr);
        TapeScope recording(&tape);
        std::vector<Tensor> in;
        for (std::size_t i = 0; i < c.inputs.size(); i++) {
            in.push_back(kept.tensor(c.inputs[i], input_type(c, i, options.dtype)));
            from_host(in[i], host[i]);
            if (options.wanted.empty() ? differentiable(c, i) : options.wanted[i]) tape.watch(in[i]);
        }
        std::unique_ptr<ReferenceScope> reference(options.reference ? new ReferenceScope : nullptr);
        Tensor y = c.run(in);
        result.value = to_host(y);
        Tensor dy = kept.tensor(y.shape, y.dtype);
        from_host(dy, options.cotangent ? *options.cotangent : random_numbers(y.size(), 1000));
        std::vector<Tape::Cotangent> from{{y, dy}};
        if (options.begun >= 0) {
            const Tensor& x = in[static_cast<std::size_t>(options.begun)];
            from.push_back({x, kept.tensor(x.shape, x.dtype)});
            from_host(from.back().value, begun_gradient(c, options.begun));
        }
        if (y.id.wanted()) tape.backward(from);
        if (options.twice && y.id.wanted()) {
            // A second tape over the same inputs, both calls on it: their gradients meet in one place.
            Tape both(step, nullptr);
            TapeScope again(&both);
            for (Tensor& t : in)
                if (t.id.wanted()) both.watch(t);
            Tensor first = c.run(in), second = c.run(in);
            const Tensor inputs[] = {first, second};
            Tensor sum = step.tensor(y.shape, y.dtype);
            sum.id = both.record("sum of two calls", inputs, sum, [](const Tensor& d, std::span<Into> into) {
                for (Into& i : into) {
                    if (!i) continue;
                    Numbers total = to_host(d);
                    if (i.accumulate()) {
                        const Numbers before = to_host(i.grad);
                        for (std::size_t k = 0; k < total.size(); k++) total[k] += before[k];
                    }
                    from_host(i.grad, total);
                }
            });
            both.backward(sum, dy);
            for (std::size_t i = 0; i < in.size(); i++)
                if (Tensor g = both.gradient(in[i]); g.defined()) result.gradients[i] = to_host(g);
        } else {
            for (std::size_t i = 0; i < in.size(); i++)
                if (Tensor g = tape.gradient(in[i]); g.defined()) result.gradients[i] = to_host(g);
        }
        step.check_red_zones();
        kept.check_red_zones();
        for (std::size_t i = 0; i < in.size(); i++) {
            Numbers now = to_host(in[i]);
            const Numbers before = stored(host[i], in[i].dtype);
            NASCENT_CHECK(now == before, runtime, "input {} was changed", i);
        }
    }
    step.reset();
    kept.reset();
    return result;
}

}  // namespace nascent::testing
