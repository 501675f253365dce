// Fused ops in evaluation mode: running statistics instead of the batch's, no backward, nothing updated.
#include <doctest/doctest.h>

#include <cfloat>
#include <cmath>
#include <functional>
#include <utility>

#include "ops/conv_act.h"
#include "ops/conv_norm.h"
#include "ops/head.h"
#include "ops/mbconv.h"
#include "ops/mixed_cell.h"
#include "ops/reference.h"
#include "ops/residual_block.h"
#include "ops/shuffle_block.h"
#include "ops/sum_node.h"
#include "tests/ops/case_runner.h"

using namespace nascent;
using namespace nascent::testing;

namespace {

/// A case whose batch-norms all run in evaluation mode on the given statistics (c).
struct Evaluated {
    const char* what;
    std::vector<Shape> inputs;
    int channels;
    std::function<Tensor(Inputs, const NormArgs&)> run;
    bool backward = false;  // there is one in evaluation too
};

/// A reduction cell of one node: pools, a convolution of dilation 2 and what goes round them on both edges.
Tensor partial_cell(Inputs in, const std::vector<CellNorm>& norms, bool training, int copies = 1) {
    CellShape shape{false, 4, 1, {}, 2};
    int weight = 0;
    for (int from : {0, 1}) {
        CellEdge e{from, 2, 2, {}};
        for (const CellOp& o : {CellOp{CellOpKind::max_pool}, CellOp{CellOpKind::avg_pool},
                                CellOp{CellOpKind::dilated, 3}, CellOp{CellOpKind::bypass}})
            e.ops.push_back({o.kind, o.k, weight++});
        shape.edges.push_back(e);
    }
    return mixed_cell(shape, in[0], in[1], in[2], in.subspan(3), norms, training, copies);
}
const std::vector<int> kPartialChannels{4, 4, 2, 2, 2, 2, 2, 2};  // of its batch-norms

/// A path through an affine cell of one node: a separable convolution and a pool.
Tensor affine_path(Inputs in, const std::vector<CellNorm>& norms, bool training) {
    CellShape shape{false, 4, 1, {{0, 2, 1, {{CellOpKind::separable, 3}}}, {1, 2, 1, {{CellOpKind::max_pool}}}}};
    shape.affine = true;
    return mixed_cell(shape, in[0], in[1], {}, in.subspan(2), norms, training);
}

/// The statistics of n for batch-norms of so many channels.
std::vector<CellNorm> same_norms(const NormArgs& n, const std::vector<int>& channels) {
    std::vector<CellNorm> norms(channels.size(), CellNorm{n.running_mean, n.running_var});
    for (std::size_t i = 0; i < norms.size() && n.running_mean.defined(); i++)
        norms[i].mean.shape = norms[i].variance.shape = {channels[i]};
    return norms;
}

std::vector<Evaluated> evaluated() {
    return {{"sum_node",
             {{2, 5, 3, 7}, {3, 3, 7, 7}, {7}, {7}, {1, 1, 7, 7}, {7}, {7}},
             7,
             [](Inputs in, const NormArgs& n) {
                 const EdgeTerm terms[] = {{EdgeOp::conv, 0, in[1], in[2], in[3], n},
                                           {EdgeOp::conv, 0, in[4], in[5], in[6], n},
                                           {EdgeOp::pool, 0},
                                           {EdgeOp::skip, 0}};
                 return sum_node(in.subspan(0, 1), terms);
             }},
            {"sum_node, not affine",
             {{2, 5, 3, 7}, {3, 3, 7, 7}},
             7,
             [](Inputs in, const NormArgs& n) {
                 const EdgeTerm terms[] = {{EdgeOp::conv, 0, in[1], {}, {}, n}};
                 return sum_node(in.subspan(0, 1), terms);
             }},
            {"conv_norm",
             {{2, 5, 3, 3}, {3, 3, 3, 7}, {7}, {7}},
             7,
             [](Inputs in, const NormArgs& n) { return conv_norm(in[0], in[1], in[2], in[3], n); }},
            {"conv_act",
             {{2, 5, 4, 3}, {3, 3, 3, 7}, {7}, {7}},
             7,
             [](Inputs in, const NormArgs& n) {
                 return conv_act(in[0], {in[1], in[2], in[3], n}, kernels::Activation::relu6, 2);
             }},
            {"shuffle_block",
             {{2, 5, 4, 5}, {1, 1, 5, 5}, {5}, {5}, {3, 3, 5}, {1, 1, 5, 5}, {3, 3, 5}, {1, 1, 5, 5}, {5}, {5}},
             5,
             [](Inputs in, const NormArgs& n) {
                 const NormedConv main[] = {{in[1], in[2], in[3], n}, {in[4], {}, {}, n}, {in[5], {}, {}, n}};
                 const NormedConv projection[] = {{in[6], {}, {}, n}, {in[7], in[8], in[9], n}};
                 return shuffle_block(in[0], ShuffleOrder::parity, 2, main, projection);
             }},
            {"mbconv",
             {{2, 5, 4, 6}, {1, 1, 6, 6}, {6}, {6}, {5, 5, 6}, {1, 1, 6, 6}, {6}, {6}},
             6,
             [](Inputs in, const NormArgs& n) {
                 const NormedConv convs[] = {{in[1], in[2], in[3], n}, {in[4], {}, {}, n}, {in[5], in[6], in[7], n}};
                 return mbconv(in[0], 1, convs);
             }},
            {"residual_block",
             {{2, 4, 6, 3}, {3, 3, 3, 5}, {5}, {5}, {3, 3, 5, 5}, {5}, {5}, {1, 1, 3, 5}},
             5,
             [](Inputs in, const NormArgs& n) {
                 return residual_block(in[0], {in[1], in[2], in[3], in[4], in[5], in[6], in[7]}, n, n);
             }},
            {"mixed_cell, one channel in two",
             {{2, 4, 6, 3},
              {2, 4, 6, 3},
              {8},
              {1, 1, 3, 4},
              {1, 1, 3, 4},
              {3, 3, 2},
              {1, 1, 2, 2},
              {3, 3, 2},
              {1, 1, 2, 2}},
             4,
             [](Inputs in, const NormArgs& n) { return partial_cell(in, same_norms(n, kPartialChannels), n.training); },
             true},
            {"mixed_cell, an affine path",
             {{2, 4, 6, 3},
              {2, 4, 6, 3},
              {1, 1, 3, 4},
              {4},
              {4},
              {1, 1, 3, 4},
              {4},
              {4},
              {3, 3, 4},
              {1, 1, 4, 4},
              {4},
              {4},
              {3, 3, 4},
              {1, 1, 4, 4},
              {4},
              {4},
              {4},
              {4}},
             4,
             [](Inputs in, const NormArgs& n) {
                 return affine_path(in, same_norms(n, {4, 4, 4, 4, 4}), n.training);
             },
             true},
            {"head", {{3, 2, 3, 5}, {5}, {5}, {4, 5}, {4}}, 5, [](Inputs in, const NormArgs& n) {
                 return head(in[0], {in[1], in[2], in[3], in[4]}, n);
             }}};
}

}  // namespace

TEST_CASE("evaluation uses the running statistics, leaves them, and has no backward") {
    auto device = make_device("cpu", 2);
    for (DType dtype : {DType::f64, DType::f32})
        for (const Evaluated& e : evaluated()) {
            CAPTURE(e.what);
            Arena kept(*device, std::size_t{1} << 28, true), step(*device, std::size_t{1} << 28, true);
            ExecutionScope execution(step);
            std::vector<Tensor> in;
            std::size_t elements = 0;
            for (const Shape& s : e.inputs) {
                in.push_back(kept.tensor(s, dtype));
                from_host(in.back(), random_numbers(s.size(), static_cast<std::uint32_t>(in.size())));
                elements += s.size();
            }
            NormArgs norm{kept.tensor({e.channels}, dtype), kept.tensor({e.channels}, dtype), false};
            Numbers mean = random_numbers(static_cast<std::size_t>(e.channels), 50), variance = mean;
            for (double& v : variance) v = 0.5 + v * v;
            from_host(norm.running_mean, mean);
            from_host(norm.running_var, variance);
            const Numbers before_mean = to_host(norm.running_mean), before_variance = to_host(norm.running_var);
            const Numbers fused = to_host(e.run(in, norm));
            Numbers plain, batch;
            {
                ReferenceScope reference;
                plain = to_host(e.run(in, norm));
                NormArgs training = norm;
                training.training = true;
                training.running_mean = training.running_var = {};
                batch = to_host(e.run(in, training));
            }
            REQUIRE(fused.size() == plain.size());
            double worst = 0, largest = 1, moved = 0;
            for (std::size_t i = 0; i < fused.size(); i++) {
                worst = std::max(worst, std::isnan(fused[i]) ? INFINITY : std::abs(fused[i] - plain[i]));
                largest = std::max(largest, std::abs(plain[i]));
                moved = std::max(moved, std::abs(plain[i] - batch[i]));
            }
            // No sum is longer than all inputs together, and a few follow each other.
            CHECK(worst <=
                  8 * (dtype == DType::f64 ? DBL_EPSILON : FLT_EPSILON) * static_cast<double>(elements) * largest);
            CHECK(moved > 1e-3);  // the mode matters
            CHECK(to_host(norm.running_mean) == before_mean);
            CHECK(to_host(norm.running_var) == before_variance);

            Tape tape(step, nullptr);
            TapeScope recording(&tape);
            tape.watch(in[0]);
            const Tensor y = e.run(in, norm);
            if (!e.backward) CHECK_THROWS_AS(tape.backward(y, y.detached()), Error);
            NormArgs none;
            none.training = false;
            CHECK_THROWS_AS(e.run(in, none), Error);
        }
}

TEST_CASE("fused ops move the running statistics as their reference does") {
    auto device = make_device("cpu", 2);
    for (const Evaluated& e : evaluated()) {
        CAPTURE(e.what);
        Arena kept(*device, std::size_t{1} << 28, true), step(*device, std::size_t{1} << 28, true);
        ExecutionScope execution(step);
        std::vector<Tensor> in;
        for (const Shape& s : e.inputs) {
            in.push_back(kept.tensor(s, DType::f64));
            from_host(in.back(), random_numbers(s.size(), static_cast<std::uint32_t>(in.size())));
        }
        const NormArgs norm{kept.tensor({e.channels}, DType::f64), kept.tensor({e.channels}, DType::f64)};
        const auto channels = static_cast<std::size_t>(e.channels);
        const Numbers mean = random_numbers(channels, 50), variance(channels, 1.5);
        auto moved = [&] {
            from_host(norm.running_mean, mean);
            from_host(norm.running_var, variance);
            e.run(in, norm);
            return std::pair(to_host(norm.running_mean), to_host(norm.running_var));
        };
        const auto fused = moved();
        ReferenceScope reference;
        const auto plain = moved();
        for (std::size_t c = 0; c < channels; c++) {
            // The reference has the variance from 1 / sqrt(variance + eps): some roundings of numbers near 1.
            CHECK(std::abs(fused.first[c] - plain.first[c]) <= 1e-13);
            CHECK(std::abs(fused.second[c] - plain.second[c]) <= 1e-11);
            CHECK(std::abs(plain.first[c] - mean[c]) > 1e-6);
            CHECK(std::abs(plain.second[c] - variance[c]) > 1e-6);
        }
    }
}

TEST_CASE("every batch-norm of a cell has running statistics of its own") {
    struct Cell {
        std::vector<Shape> inputs;
        std::vector<int> channels;  // of the batch-norms
        std::function<Tensor(Inputs, const std::vector<CellNorm>&, bool)> run;
    };
    std::vector<Shape> of_copy{{1, 1, 3, 4}, {1, 1, 3, 4}, {3, 3, 2}, {1, 1, 2, 2}, {3, 3, 2}, {1, 1, 2, 2}};
    Cell partial{{{4, 4, 2, 3}, {4, 4, 2, 3}, {8}}, {}, [](Inputs in, const std::vector<CellNorm>& norms, bool train) {
                     return partial_cell(in, norms, train, 2);
                 }};
    for ([[maybe_unused]] int copy : {0, 1}) {
        partial.inputs.insert(partial.inputs.end(), of_copy.begin(), of_copy.end());
        partial.channels.insert(partial.channels.end(), kPartialChannels.begin(), kPartialChannels.end());
    }
    std::vector<Shape> path{{2, 4, 6, 3}, {2, 4, 6, 3}, {1, 1, 3, 4}, {4}, {4}, {1, 1, 3, 4}, {4}, {4}};
    for ([[maybe_unused]] int half : {0, 1}) path.insert(path.end(), {{3, 3, 4}, {1, 1, 4, 4}, {4}, {4}});
    path.insert(path.end(), 2, Shape{4});
    auto device = make_device("cpu", 2);
    for (const Cell& cell : {partial, Cell{path, {4, 4, 4, 4, 4}, affine_path}}) {
        CAPTURE(cell.channels.size());
        Arena kept(*device, std::size_t{1} << 28, true), step(*device, std::size_t{1} << 28, true);
        ExecutionScope execution(step);
        std::vector<Tensor> in;
        for (const Shape& s : cell.inputs) {
            in.push_back(kept.tensor(s, DType::f64));
            from_host(in.back(), random_numbers(s.size(), static_cast<std::uint32_t>(in.size())));
        }
        std::vector<CellNorm> norms;
        for (int c : cell.channels) norms.push_back({kept.tensor({c}, DType::f64), kept.tensor({c}, DType::f64)});
        // The value, and what the statistics are after it.
        auto run = [&](bool training) {
            for (std::size_t i = 0; i < norms.size(); i++) {
                const auto c = static_cast<std::size_t>(cell.channels[i]);
                Numbers variance = random_numbers(c, static_cast<std::uint32_t>(200 + i));
                from_host(norms[i].mean, random_numbers(c, static_cast<std::uint32_t>(100 + i)));
                for (double& v : variance) v = 1 + v * v;
                from_host(norms[i].variance, variance);
            }
            std::vector<Numbers> all{to_host(cell.run(in, norms, training))};
            for (const CellNorm& n : norms) all.insert(all.end(), {to_host(n.mean), to_host(n.variance)});
            return all;
        };
        for (bool training : {true, false}) {
            CAPTURE(training);
            const std::vector<Numbers> fused = run(training);
            ReferenceScope reference;
            const std::vector<Numbers> plain = run(training);
            REQUIRE(fused.size() == plain.size());
            for (std::size_t i = 0; i < fused.size(); i++) {
                REQUIRE(fused[i].size() == plain[i].size());
                double worst = 0;
                for (std::size_t k = 0; k < fused[i].size(); k++)
                    worst = std::max(worst, std::isnan(fused[i][k]) ? INFINITY : std::abs(fused[i][k] - plain[i][k]));
                CAPTURE(i);
                // As above: the statistics, of numbers near 1, come from 1 / sqrt(variance + eps); a value is divided
                // by that three times at most.
                CHECK(worst <= 1e-11);
            }
        }
    }
}
