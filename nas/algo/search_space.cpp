#include "nas/algo/search_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/base/error.h"
#include "nas/metric/cost.h"
#include "nas/metric/darts_cost.h"
#include "nas/space/darts_derive.h"
#include "nas/space/darts_drawing.h"
#include "nas/space/nasbench201_drawing.h"
#include "nas/space/nearest_name.h"
#include "nas/supernet/darts.h"
#include "nas/supernet/nasbench201_mixed.h"

namespace nascent {
namespace {

class DartsSpace final : public SearchSpace {
  public:
    DartsSpace(bool edge_weights, bool none) : edge_weights_(edge_weights), none_(none) {}
    std::string name() const override { return "darts"; }
    darts::Net net(const SearchSettings& s) const {
        darts::NetConfig config = darts::search_config(s.stem == "imagenet" ? "imagenet" : "cifar10");
        config.classes = s.classes;
        config.input_size = s.size;
        config.channels = s.channels;
        config.layers = s.layers;
        const darts::SearchCell cell{
            .partial = s.partial, .shuffle = s.shuffle, .edge_weights = edge_weights_, .none = none_};
        return darts::search_net(config, cell);
    }
    void check(const SearchSettings& s) const override { (void)net(s); }
    std::unique_ptr<SearchNet> make_net(Device& device, DType dtype, const SearchSettings& s) const override {
        auto net = std::make_unique<DartsNet>(device, dtype, this->net(s));
        NASCENT_CHECK(net->alphas().size() == matrices().size(), usage,
                      "net.layers = {}: a search needs normal and reduction cells, which 3 layers or more have",
                      s.layers);
        if (s.order_seed) net->shuffle_at_random(*s.order_seed);
        return net;
    }
    std::vector<AlphaMatrix> matrices() const override {
        AlphaMatrix m;
        for (int node = 0; node < 4; node++)
            for (int from = 0; from < darts::kInputs + node; from++)
                m.edges.push_back(fmt::format("{}<-{}", darts::kInputs + node, from));
        for (int op = none_ ? 0 : 1; op < darts::kPrimitives; op++)
            m.operators.emplace_back(darts::kOpNames[static_cast<std::size_t>(op)]);
        std::vector<AlphaMatrix> both{m, m};
        both[0].name = "alphas_normal";
        both[1].name = "alphas_reduce";
        if (!edge_weights_) return both;
        for (const char* name : {"betas_normal", "betas_reduce"}) both.push_back({name, m.edges, {"edge"}});
        return both;
    }
    Derived derive(const Alphas& alphas) const override {
        std::vector<double> weights[] = {rows(alphas.at(0)), rows(alphas.at(1))};
        for (std::size_t i : {0, 1})
            if (edge_weights_) weights[i] = darts::weigh_edges(std::move(weights[i]), alphas.at(i + 2));
        const darts::Genotype g = darts::genotype_of_weights(weights[0], weights[1]);
        return {to_string(g), darts::skip_connects(g.normal)};
    }
    int collapse_skips() const override { return darts::kCollapseSkips; }
    StateDict state_of(const SearchNet& net, const Sgd&, std::int64_t batches) const override {
        const auto& darts = dynamic_cast<const DartsNet&>(net);
        StateDict state;
        for (const darts::StateEntry& e : darts::state_entries(darts.net()))
            state.set(e.name,
                      {e.shape, e.int64 ? std::vector<double>{static_cast<double>(batches)} : darts.get(e.name)});
        return state;
    }
    std::vector<File> drawings(const std::string& text) const override {
        const darts::Genotype g = darts::parse_genotype(text);
        return {{"normal.dot", darts::to_dot(g.normal, g.normal_concat)},
                {"normal.svg", darts::to_svg(g.normal, g.normal_concat)},
                {"reduction.dot", darts::to_dot(g.reduce, g.reduce_concat)},
                {"reduction.svg", darts::to_svg(g.reduce, g.reduce_concat)}};
    }
    void add_cost(JsonObject& to, const std::string& text, int classes) const override {
        darts::NetConfig config = darts::evaluation_config(classes == 1000 ? "imagenet" : "cifar10");
        config.classes = classes;
        const darts::Cost c = darts::cost_of(darts::evaluation_net(config, darts::parse_genotype(text)));
        to.add("params", c.params).add("macs", darts::macs_json(c));
    }

  private:
    /// Their softmax, with a column of zeros for `none` where it is none of the operators.
    std::vector<double> rows(const std::vector<double>& alphas) const {
        const int columns = none_ ? darts::kPrimitives : darts::kPrimitives - 1;
        std::vector<double> all = darts::softmax_rows(alphas, columns);
        for (std::size_t row = 0; !none_ && row < all.size(); row += darts::kPrimitives)
            all.insert(all.begin() + static_cast<std::ptrdiff_t>(row), 0.0);
        return all;
    }
    bool edge_weights_, none_;
};

class Nb201Space final : public SearchSpace {
  public:
    explicit Nb201Space(bool edge_weights) : edge_weights_(edge_weights) {}
    void check(const SearchSettings& s) const override {
        (void)nb201::supernet_layers({s.classes, s.size, s.channels, s.cells}, {.partial = s.partial});
    }
    std::string name() const override { return "nasbench201"; }
    std::unique_ptr<SearchNet> make_net(Device& device, DType dtype, const SearchSettings& s) const override {
        return std::make_unique<Nb201MixedNet>(device, dtype, nb201::NetConfig{s.classes, s.size, s.channels, s.cells},
                                               Nb201MixedNet::Cells{s.track, {s.partial, s.shuffle}, edge_weights_});
    }
    std::vector<AlphaMatrix> matrices() const override {
        AlphaMatrix m{"arch_parameters", {}, {nb201::kOpNames.begin(), nb201::kOpNames.end()}};
        for (const nb201::Edge& e : nb201::kEdgeList) m.edges.push_back(fmt::format("{}<-{}", e.to, e.from));
        if (edge_weights_) return {m, {"betas", m.edges, {"edge"}}};
        return {m};
    }
    /// Of each edge the largest: what weighs the edge weighs all its operators.
    Derived derive(const Alphas& alphas) const override {
        const std::vector<double> weights = darts::softmax_rows(alphas.at(0), nb201::kOps);
        nb201::Architecture arch;
        for (std::size_t e = 0; e < nb201::kEdges; e++) {
            const auto row = weights.begin() + static_cast<std::ptrdiff_t>(e) * nb201::kOps;
            arch.ops[e] = static_cast<nb201::Op>(std::max_element(row, row + nb201::kOps) - row);
        }
        return {nb201::to_string(arch),
                static_cast<int>(std::count(arch.ops.begin(), arch.ops.end(), nb201::Op::skip_connect))};
    }
    int collapse_skips() const override { return 4; }
    StateDict state_of(const SearchNet& net, const Sgd& optimizer, std::int64_t) const override {
        return StateDict::of(dynamic_cast<const Nb201MixedNet&>(net), &optimizer);
    }
    std::vector<File> drawings(const std::string& text) const override {
        const nb201::Architecture arch = nb201::parse_architecture(text);
        return {{"cell.dot", nb201::to_dot(arch)}, {"cell.svg", nb201::to_svg(arch)}};
    }
    void add_cost(JsonObject& to, const std::string& text, int classes) const override {
        nb201::NetConfig net;
        net.classes = classes;
        net.input_size = classes == 120 ? 16 : 32;  // as the benchmark trained them
        const nb201::Architecture arch = nb201::parse_architecture(text);
        const Cost c = cost_of(net, arch);
        to.add("index", nb201::official_index(arch)).add("params", c.params).add("macs", macs_json(c));
    }

  private:
    bool edge_weights_;
};

}  // namespace

const SearchSpace& search_space(const std::string& name, bool edge_weights, bool none) {
    static const DartsSpace darts[2][2] = {{{false, false}, {false, true}}, {{true, false}, {true, true}}};
    static const Nb201Space nb201[2] = {Nb201Space(false), Nb201Space(true)};
    if (name == darts[0][0].name()) return darts[edge_weights][none];
    if (name == nb201[0].name()) return nb201[edge_weights];
    static constexpr std::array<std::string_view, 2> names = {"darts", "nasbench201"};
    fail(ErrorKind::usage, "unknown space '{}', did you mean {}?", name, nearest_name(name, names));
}

}  // namespace nascent
