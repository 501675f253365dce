// What the passes over branches of DARTS's cells (kernels/mixed.h) move and need, by stage of the network: one normal
// cell's launches, counted by the emulator in the preset `traffic`, for batches whose whole step would take it hours.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/mixed.h"
#include "kernels/simt/traffic.h"
#include "nas/run/program.h"

namespace nascent::bench {
namespace {

using namespace kernels;
using Floats = std::vector<BranchGradient<float>>;

constexpr Stream kGpu{.where = Where::gpu};

/// Memory of a device, all zeros: what kernels ask for does not depend on numbers.
class Memory {
  public:
    explicit Memory(std::size_t bytes) : bytes_(bytes), all_(new Line[bytes / sizeof(Line)]()) {
        simt::count_traffic(all_.get(), bytes);
    }
    ~Memory() { simt::forget_traffic(all_.get()); }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    template <class T = float>
    T* make(std::size_t count) {
        const std::size_t at = used_;
        used_ += (count * sizeof(T) + sizeof(Line) - 1) / sizeof(Line);
        if (used_ * sizeof(Line) > bytes_) throw std::bad_alloc();
        return reinterpret_cast<T*>(all_.get() + at);
    }
    void clear() {
        std::memset(static_cast<void*>(all_.get()), 0, used_ * sizeof(Line));
        used_ = 0;
    }

  private:
    struct alignas(64) Line {
        char bytes[64];
    };
    std::size_t bytes_, used_ = 0;
    std::unique_ptr<Line[]> all_;
};

/// Launches of one shape: `size` x `size` pictures of c channels.
struct Cell {
    int n, size, c;
    Memory& memory;
    std::vector<Source<float>> sources;
    std::vector<Branch<float>> branches;
    std::vector<SourceBackward<float>> into;
    std::vector<BranchBackward<float>> back;
    std::deque<Floats> gradients;
    std::deque<std::vector<Skip<float>>> skips;

    float* picture(int channels) const {
        return memory.make(static_cast<std::size_t>(n) * size * size * static_cast<std::size_t>(channels));
    }
    float* vectors(int count) const { return memory.make(static_cast<std::size_t>(count) * c); }
    void source(int channels, bool scaled, std::vector<Skip<float>> around) {
        Source<float>& s = sources.emplace_back(Source<float>{picture(channels), size, size, channels, channels});
        if (scaled) s.scale = vectors(1), s.shift = vectors(1);
        SourceBackward<float>& b = into.emplace_back(SourceBackward<float>{s, picture(channels), channels, {}});
        b.skips = skips.emplace_back(std::move(around));
        if (!scaled) return;
        b.mean = memory.make<double>(static_cast<std::size_t>(c)),
        b.rstd = memory.make<double>(static_cast<std::size_t>(c));
        b.map = {vectors(1), vectors(1), vectors(1)};
    }
    BranchGradient<float> gradient(float* g) const { return {g, c, {vectors(1), vectors(1), vectors(1)}}; }
    void branch(BranchKind kind, int k, int dilation, Floats from) {
        Branch<float> b{kind, static_cast<int>(sources.size()) - 1, c, k, dilation};
        const auto in = static_cast<std::size_t>(sources.back().c);
        const bool pool = kind == BranchKind::max_pool || kind == BranchKind::avg_pool;
        const auto window = static_cast<std::size_t>(k * k);
        if (kind == BranchKind::separable) b.depth = memory.make(window * in);
        if (!pool) b.point = memory.make(in * static_cast<std::size_t>(c));
        if (kind == BranchKind::max_pool)
            b.tap = memory.make<std::uint8_t>(static_cast<std::size_t>(n) * size * size * static_cast<std::size_t>(c));
        b.z = picture(c);
        b.mean = memory.make<double>(static_cast<std::size_t>(c)),
        b.rstd = memory.make<double>(static_cast<std::size_t>(c));
        b.scale = vectors(1), b.shift = vectors(1);
        branches.push_back(b);
        BranchBackward<float>& r = back.emplace_back(BranchBackward<float>{b, gradients.emplace_back(std::move(from))});
        if (kind == BranchKind::separable) r.ddepth = memory.make(window * in);
        if (!pool) r.dpoint = memory.make(in * static_cast<std::size_t>(c));
    }
    /// A state with so many edges.
    void state(int edges) {
        std::vector<float*> nodes;
        std::vector<Skip<float>> around;
        for (int e = 0; e < edges; e++) around.push_back({nodes.emplace_back(picture(c)), c, vectors(1)});
        source(c, false, around);
        Floats pools[2];
        for (float* node : nodes) {
            const BranchGradient<float> g = gradient(node);
            for (int k : {3, 5}) branch(BranchKind::separable, k, 1, {gradient(picture(c))});
            for (int k : {3, 5}) branch(BranchKind::separable, k, 2, {g});
            for (Floats& p : pools) p.push_back(g);
        }
        branch(BranchKind::max_pool, 1, 1, pools[0]);
        branch(BranchKind::avg_pool, 1, 1, pools[1]);
    }
    /// Second halves of separable convolutions of so many edges: to one node each, or all to the same.
    void seconds(int edges, bool to_one) {
        float* node = picture(c);
        for (int e = 0; e < edges; e++) {
            if (!to_one && e > 0) node = picture(c);
            for (int k : {3, 5}) {
                source(c, true, {});
                branch(BranchKind::separable, k, 1, {gradient(node)});
            }
        }
    }
    void inputs() {
        for (int i = 0; i < 2; i++) {
            source(4 * c, false, {});
            branch(BranchKind::pointwise, 1, 1, {gradient(picture(c))});
        }
    }
    void forward() const {
        const std::size_t bytes = branches_forward_workspace<float>(kGpu, n, sources, branches);
        branches_forward<float>(kGpu, n, 1e-5, sources, branches, memory.make<double>(bytes / sizeof(double) + 1));
    }
    void backward() const {
        const std::size_t bytes = branches_backward_workspace<float>(kGpu, n, into, back);
        branches_backward<float>(kGpu, n, into, back, memory.make<double>(bytes / sizeof(double) + 1));
    }
};

int run(int argc, char** argv) {
    CLI::App app{"Counts the bytes of a DARTS cell's passes over branches; the preset traffic."};
    int n = 64;
    std::vector<int> sizes{32, 16, 8};
    bool backward_alone = false;
    app.add_option("--batch", n);
    app.add_flag("--backward", backward_alone, "Not forward");
    app.add_option("--size", sizes, "Pictures, of 512 / size channels")->check(CLI::IsMember({32, 16, 8}));
    CLI11_PARSE(app, argc, argv);
    if (!simt::counts_traffic())
        throw std::runtime_error("nothing is counted: expected a program of the preset traffic");
    Memory memory(std::size_t{static_cast<std::size_t>(n)} * 32 * 32 * 16 * 4 * 192 + (std::size_t{1} << 28));
    fmt::print("| batch {} | launches | blocks | MB moved | MB needed | moved / needed |\n|---|---|---|---|---|---|\n",
               n);
    auto line = [&](const std::string& name, int times, auto&& make, bool forward) {
        memory.clear();
        Cell cell{n, 0, 0, memory, {}, {}, {}, {}, {}, {}};
        make(cell);
        simt::take_traffic();
        forward ? cell.forward() : cell.backward();
        double moved = 0, needed = 0;
        std::size_t launches = 0, blocks = 0;
        for (const simt::Traffic& t : simt::take_traffic()) {
            launches += t.launches, blocks += t.blocks;
            moved += static_cast<double>(t.read.moved + t.written.moved);
            needed += static_cast<double>(t.read.needed + t.written.needed);
        }
        fmt::print("| {} | {} | {} | {:.2f} | {:.2f} | {:.2f} |\n", name, static_cast<std::size_t>(times) * launches,
                   blocks, times * moved / 1e6, times * needed / 1e6, moved / needed);
        std::fflush(stdout);
        return std::pair{times * moved, times * needed};
    };
    for (int size : sizes) {
        const std::string shape = fmt::format("{}x{}, {}", size, size, 512 / size);
        for (bool forward : {true, false}) {
            if (forward && backward_alone) continue;
            const std::string pass = shape + (forward ? " forward: " : " backward: ");
            std::pair<double, double> sum{};
            auto add = [&](const std::string& name, int times, auto&& fill) {
                const auto one = line(
                    pass + name, times,
                    [&](Cell& cell) {
                        cell.size = size, cell.c = 512 / size;
                        fill(cell);
                    },
                    forward);
                sum.first += one.first, sum.second += one.second;
            };
            add("inputs", 1, [](Cell& c) { c.inputs(); });
            if (forward)
                add("a state of 4 edges", 2, [](Cell& c) { c.state(4); });
            else
                add("two states of 4 edges", 1, [](Cell& c) { c.state(4), c.state(4); });
            for (int edges : {3, 2, 1}) add(fmt::format("a state of {}", edges), 1, [&](Cell& c) { c.state(edges); });
            if (forward) add("second halves of 4", 2, [](Cell& c) { c.seconds(4, false); });
            for (int edges : {3, 2, 1})
                add(fmt::format("second halves of {}", forward ? edges : edges + 1), 1,
                    [&](Cell& c) { c.seconds(forward ? edges : edges + 1, !forward); });
            if (!forward) add("second halves of 5", 1, [](Cell& c) { c.seconds(5, true); });
            fmt::print("| {}together | | | {:.2f} | {:.2f} | **{:.2f}** |\n", pass, sum.first / 1e6, sum.second / 1e6,
                       sum.first / sum.second);
        }
    }
    return 0;
}

}  // namespace
}  // namespace nascent::bench

int main(int argc, char** argv) { return nascent::run_program("bench_branches", nascent::bench::run, argc, argv); }
