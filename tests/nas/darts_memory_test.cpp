// The arena of a forward and backward through the DARTS search network, counted from the shapes alone (docs/design.md,
// "A mixed cell") and as it is.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "engine/memory/arena.h"
#include "kernels/mixed.h"
#include "nas/algo/loss.h"
#include "nas/supernet/darts.h"
#include "nas/supernet/initialise.h"
#include "ops/kernel_stream.h"
#include "ops/reference.h"
#include "tests/gpu_device.h"

using namespace nascent;
using kernels::BranchKind;

namespace {

struct Bytes {
    std::size_t forward = 0, high_water = 0;  // kept by the forward; at most
    bool operator==(const Bytes&) const = default;
};

/// Takes from an arena what a step would, and touches none of it. Pictures are stored as S, all else is float32.
template <class S>
class Count {
  public:
    Count(Device& device, const darts::Net& net, int n)
        : device_(device), net_(net), n_(n), arena_(device, std::size_t{1} << 40, false), slots_(arena_) {}

    Bytes step() {
        Bytes all;
        const darts::Cell &first = net_.cells.front(), &last = net_.cells.back();
        const std::size_t classes = batch(static_cast<std::size_t>(net_.config.classes));
        for (int i = 0; i < 2; i++) take(weights());
        if (!std::is_same_v<S, float>) store(state(first.in_size, 3));
        const kernels::ConvShape stem{n_, first.in_size, first.in_size, 3, first.previous_channels, 3, 1};
        store(state(first.in_size, stem.c_out)), store(state(first.in_size, stem.c_out));
        for (std::size_t element : {4, 4, 8, 8}) take(static_cast<std::size_t>(stem.c_out), element);
        scratch({2 * sizeof(double) * static_cast<std::size_t>(stem.c_out),
                 kernels::conv_forward_workspace(stream(), stem, sizeof(S))});
        for (const darts::Cell& c : net_.cells) forward(c);
        take(batch(static_cast<std::size_t>(last.out_channels))), take(classes);  // pooled, logits
        take(1), take(classes);                                                   // loss, probabilities
        all.forward = arena_.used();

        take(1);  // the loss's cotangent
        void* dlogits = slots_.take(classes * sizeof(float));
        void* dpooled = slots_.take(batch(static_cast<std::size_t>(last.out_channels)) * sizeof(float));
        slots_.give_back(dlogits);
        const auto cells = static_cast<int>(net_.cells.size());
        gradient(cells - 1);
        slots_.give_back(dpooled);
        for (int i = cells - 1; i >= 0; i--) {
            for (int input : {i - 2, i - 1}) gradient(std::max(input, -1));
            const darts::Cell& c = net_.cells[static_cast<std::size_t>(i)];
            if (!dweights_[c.reduction]) dweights_[c.reduction] = slots_.take(weights() * sizeof(float));
            backward(c);
            slots_.give_back(dstate_[i]);
        }
        const ScratchScope end(arena_);
        take(2 * static_cast<std::size_t>(stem.c_out), sizeof(double));
        take(kernels::norm_sums_workspace(stream(), {n_, first.in_size, first.in_size, stem.c_out}, 1), 1);
        for (int i = 0; i < 3; i++) take(static_cast<std::size_t>(stem.c_out));
        take(kernels::conv_backward_workspace(stream(), stem, sizeof(S)), 1);
        all.high_water = arena_.high_water();
        return all;
    }

  private:
    using Branch = kernels::Branch<S>;
    using Source = kernels::Source<S>;

    kernels::Stream stream() const { return kernel_stream(device_); }
    void take(std::size_t count, std::size_t element = sizeof(float)) { arena_.allocate(count * element); }
    void store(std::size_t count) { take(count, sizeof(S)); }
    void scratch(std::initializer_list<std::size_t> bytes) {
        const ScratchScope scope(arena_);
        for (std::size_t b : bytes) take(b, 1);
    }
    std::size_t batch(std::size_t each) const { return static_cast<std::size_t>(n_) * each; }
    std::size_t state(int size, int channels) const {
        return batch(static_cast<std::size_t>(size) * static_cast<std::size_t>(size * channels));
    }
    std::size_t weights() const { return net_.cells[0].edges.size() * darts::kPrimitives; }
    void gradient(int cell) {  // -1: the stem's
        if (dstate_.contains(cell)) return;
        const darts::Cell& c = net_.cells[static_cast<std::size_t>(std::max(cell, 0))];
        const std::size_t count = cell < 0 ? state(c.in_size, c.previous_channels) : state(c.out_size, c.out_channels);
        dstate_[cell] = slots_.take(count * sizeof(S));
    }
    void norm(int c) { take(2 * static_cast<std::size_t>(c)), take(2 * static_cast<std::size_t>(c), sizeof(double)); }
    void map(int c) { take(3 * static_cast<std::size_t>(c)); }

    static Branch branch(int c, BranchKind kind, int stride = 1, int k = 1, int dilation = 1, int source = 0) {
        Branch b{kind, source, c};
        b.k = k, b.dilation = dilation, b.stride = stride;
        return b;
    }
    static Source source(int size, int c) { return {nullptr, size, size, c, c}; }
    static int size_of_state(const darts::Cell& c, int s) { return s < 2 ? c.in_size : c.out_size; }

    /// What is computed from a state itself: per edge FactorizedReduce, first halves of separable convolutions, dilated
    /// ones; pools once.
    static std::vector<Branch> leaving(const darts::Cell& c, int from, int source = 0) {
        std::vector<Branch> all;
        int stride = 1;
        for (const darts::Edge& e : c.edges) {
            if (e.from != from) continue;
            stride = e.stride;
            if (stride == 2) all.push_back(branch(c.channels, BranchKind::reduce, stride, 1, 1, source));
            for (int dilation : {1, 2})
                for (int k : {3, 5})
                    all.push_back(branch(c.channels, BranchKind::separable, stride, k, dilation, source));
        }
        for (BranchKind pool : {BranchKind::max_pool, BranchKind::avg_pool})
            all.push_back(branch(c.channels, pool, stride, 1, 1, source));
        return all;
    }
    /// Second halves of so many edges, each with a source of its own.
    std::vector<Branch> halves(const darts::Cell& c, std::size_t edges) const {
        std::vector<Branch> all;
        for (std::size_t i = 0; i < 2 * edges; i++)
            all.push_back(branch(c.channels, BranchKind::separable, 1, i % 2 ? 5 : 3, 1, static_cast<int>(i)));
        return all;
    }
    static std::size_t count(const darts::Cell& c, int darts::Edge::*end, int state) {
        return static_cast<std::size_t>(
            std::count_if(c.edges.begin(), c.edges.end(), [&](const darts::Edge& e) { return e.*end == state; }));
    }
    struct Inputs {
        std::vector<Source> sources;
        std::vector<Branch> branches;
    };
    static Inputs preprocessing(const darts::Cell& c) {
        return {{source(c.before_size, c.before_channels), source(c.in_size, c.previous_channels)},
                {branch(c.channels, c.reduction_before ? BranchKind::reduce : BranchKind::pointwise),
                 branch(c.channels, BranchKind::pointwise, 1, 1, 1, 1)}};
    }

    std::size_t forward_work(std::span<const Source> sources, std::span<const Branch> branches) const {
        return kernels::branches_forward_workspace<S>(stream(), n_, sources, branches);
    }
    std::size_t backward_work(std::span<const Source> sources, std::span<const Branch> branches) const {
        std::vector<kernels::SourceBackward<S>> s;
        std::vector<kernels::BranchBackward<S>> b;
        for (const Source& x : sources) s.push_back({x, nullptr, x.pixel, {}});
        for (const Branch& x : branches) b.push_back({x, {}});
        return kernels::branches_backward_workspace<S>(stream(), n_, s, b);
    }
    std::size_t node_work(int size, int c, std::size_t nodes, std::size_t terms) const {
        const std::vector<kernels::MixedTermGradient<S>> each(terms);
        const std::vector<kernels::MixedNodeGradient<S>> all(nodes, {nullptr, c, each});
        return kernels::nodes_backward_workspace<S>(stream(), state(size, 1), c, all);
    }

    bool keeps_pools() const { return device_.kind() == DeviceKind::cpu; }
    void pools(const darts::Cell& c) {
        const std::size_t s = state(c.out_size, c.channels);
        for (int from = 0; from < kLast; from++) store(s), take((s + 3) / 4), store(s);  // a maximum's place is a byte
    }
    void forward(const darts::Cell& c) {
        const std::size_t s = state(c.out_size, c.channels), in = state(c.in_size, c.channels);
        store(state(c.out_size, c.out_channels));
        for (int i = 0; i < 2; i++) store(in), norm(c.channels);
        for (int from = 0; from < kLast; from++) norm(c.channels), norm(c.channels);
        for (const darts::Edge& e : c.edges)
            for (int z = 0; z < (e.stride == 2 ? 7 : 6); z++) store(s), norm(c.channels);
        if (keeps_pools()) pools(c);
        const ScratchScope end(arena_);
        if (!keeps_pools()) pools(c);
        const Inputs inputs = preprocessing(c);
        scratch({forward_work(inputs.sources, inputs.branches)});
        for (int from = 0; from < kLast; from++) {
            const Source own[] = {source(size_of_state(c, from), c.channels)};
            scratch({forward_work(own, leaving(c, from))});
            const std::size_t edges = count(c, &darts::Edge::from, from);
            scratch({forward_work(std::vector(2 * edges, source(c.out_size, c.channels)), halves(c, edges))});
        }
    }

    void states_backward(const darts::Cell& c, std::initializer_list<int> states) {
        std::vector<Source> sources;
        std::vector<Branch> branches;
        for (int s : states) {
            store(state(size_of_state(c, s), c.channels));
            for (const Branch& b : leaving(c, s, static_cast<int>(sources.size()))) branches.push_back(b);
            sources.push_back(source(size_of_state(c, s), c.channels));
        }
        scratch({backward_work(sources, branches)});
    }
    void backward(const darts::Cell& c) {
        const ScratchScope end(arena_);
        take(weights());
        if (!keeps_pools()) pools(c);
        for (int node = kLast; node >= 2; node--) {
            if (node < kLast) states_backward(c, {node});
            const std::size_t edges = count(c, &darts::Edge::to, node);
            for (const darts::Edge& e : c.edges) {
                if (e.to != node) continue;
                for (int i = 0; i < (e.stride == 2 ? 7 : 6); i++) map(c.channels);  // pools, skip, convolutions
                for (int i = 0; i < 2; i++) store(state(c.out_size, c.channels)), map(c.channels);
            }
            scratch({node_work(c.out_size, c.channels, 1, 7 * edges),
                     backward_work(std::vector(2 * edges, source(c.out_size, c.channels)), halves(c, edges))});
        }
        states_backward(c, {0, 1});
        for (int i = 0; i < 2; i++) map(c.channels);
        const Inputs in = preprocessing(c);
        const std::size_t nodes = node_work(c.in_size, c.channels, 2, 1);
        if (c.index > 0) return scratch({nodes, backward_work(in.sources, in.branches)});
        // The first cell's inputs are one value: one after the other.
        scratch({nodes, backward_work({&in.sources[0], 1}, {&in.branches[0], 1}),
                 backward_work({&in.sources[1], 1}, std::vector{branch(c.channels, BranchKind::pointwise)})});
    }

    static constexpr int kLast = 5;  // the last node's state: no edge leaves it
    Device& device_;
    const darts::Net& net_;
    int n_;
    Arena arena_;
    GradientSlots slots_;
    std::map<int, void*> dstate_;
    void* dweights_[2] = {};
};

darts::Net small_net(int channels, int size, int layers) {
    darts::NetConfig config = darts::search_config("cifar10");
    config.channels = channels;
    config.input_size = size;
    config.layers = layers;
    return darts::search_net(config);
}

/// On a device whose memory the host may touch between work, as the emulated gpu's with copies.
Bytes measured(Device& device, const darts::Net& description, int n) {
    DartsNet net(device, DType::f32, description);
    initialise(net.store(), 3);
    Arena arena(device, std::size_t{1} << 38, false);
    ExecutionScope execution(arena);
    const std::int64_t size = description.config.input_size;
    const Tensor x = empty({n, size, size, 3}, DType::f32), labels = empty({n}, DType::i32);
    std::vector<float> pixels(x.size());
    std::vector<std::int32_t> classes(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < pixels.size(); i++) pixels[i] = static_cast<float>(i % 17) / 8 - 1;
    for (std::size_t i = 0; i < classes.size(); i++) classes[i] = static_cast<std::int32_t>(i % 10);
    device.copy_in(x.data, pixels.data(), x.bytes());
    device.copy_in(labels.data, classes.data(), labels.bytes());
    const std::size_t start = arena.used();
    Tape tape(arena, &net.store(), Tape::Gradients::parameters_fixed);
    TapeScope recording(&tape);
    const Tensor loss = cross_entropy(net.logits(x, true), labels);
    const std::size_t forward = arena.used() - start;
    backward_from(tape, loss);
    return {forward, arena.high_water() - start};
}

struct Small {
    int channels, size, layers, n;
};
/// On a gpu what the forward keeps: its backward has workspaces of its own, which are more than a small network's
/// cells.
template <class S>
void check_count(Device& device, std::initializer_list<Small> nets) {
    for (const auto& [channels, size, layers, n] : nets) {
        CAPTURE(channels);
        const darts::Net net = small_net(channels, size, layers);
        const Bytes counted = Count<S>(device, net, n).step(), real = measured(device, net, n);
        CHECK(counted.forward == real.forward);
        if (device.kind() == DeviceKind::cpu) CHECK(counted.high_water == real.high_water);
    }
}

}  // namespace

TEST_CASE("the arena's high-water mark is the count of the DARTS network's tensors") {
    const auto device = make_device("cpu", 1);
    check_count<float>(*device, {{4, 8, 8, 2}, {6, 16, 3, 3}, {16, 8, 4, 1}, {2, 4, 3, 35}});
}

TEST_CASE("what a forward keeps on the gpu is the count of the DARTS network's tensors, in float32 and bf16") {
    const auto device = testing::gpu_device();
    if (!device) return;
    check_count<float>(*device, {{4, 8, 3, 2}});
    device->kernel_options.precision = Precision::bf16;
    check_count<kernels::BFloat16>(*device, {{4, 8, 3, 2}, {2, 4, 3, 3}});
}

TEST_CASE("docs say how much memory a DARTS step takes") {
    std::ifstream in(NASCENT_SOURCE_DIR "/docs/design.md");
    std::stringstream text;
    text << in.rdbuf();
    const auto device = make_device("cpu", 1), gpu = testing::gpu_device();
    const darts::Net net = darts::search_net(darts::search_config("cifar10"));
    auto check = [&](const std::string& row) {
        CHECK_MESSAGE(text.str().find(row) != std::string::npos, "docs/design.md lacks " << row);
    };
    for (int n : {16, 64}) {
        const Bytes b = Count<float>(*device, net, n).step();
        check(fmt::format("| cpu, float32 | {} | {} | {} |", n, b.forward, b.high_water));
        if (!gpu) continue;
        gpu->kernel_options.precision = Precision::float32;
        check(fmt::format("| gpu, float32 | {} | {} | |", n, Count<float>(*gpu, net, n).step().forward));
        gpu->kernel_options.precision = Precision::bf16;
        check(fmt::format("| gpu, bf16 | {} | {} | |", n, Count<kernels::BFloat16>(*gpu, net, n).step().forward));
    }
}
