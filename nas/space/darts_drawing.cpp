#include "nas/space/darts_drawing.h"

#include <array>

#include "engine/base/error.h"

namespace nascent::darts {
namespace {

// Colours of X11: by name for Graphviz, by number for SVG readers that know only the names of CSS.
struct Colour {
    const char *dot, *svg;
};
constexpr Colour kInput{"darkseagreen2", "#b4eeb4"}, kNode{"lightblue", "#add8e6"}, kOutput{"palegoldenrod", "#eee8aa"};

std::string state_name(int state) {
    return state == 0 ? "c_{k-2}" : state == 1 ? "c_{k-1}" : fmt::format("{}", state - kInputs);
}

int node_count(std::span<const Gene> genes, std::span<const int> concat) {
    const auto nodes = static_cast<int>(genes.size() / 2);
    NASCENT_CHECK(genes.size() % 2 == 0 && nodes > 0 && nodes <= kMaxNodes, usage,
                  "a drawing of {} genes; expected two for each of 1..{} nodes", genes.size(), kMaxNodes);
    for (std::size_t g = 0; g < genes.size(); ++g) {
        const int states = kInputs + static_cast<int>(g / 2);
        NASCENT_CHECK(genes[g].from >= 0 && genes[g].from < states, usage, "gene {} reads state {}; expected 0..{}", g,
                      genes[g].from, states - 1);
    }
    for (int state : concat) {
        NASCENT_CHECK(state >= 0 && state < kInputs + nodes, usage, "the output holds state {}; expected 0..{}", state,
                      kInputs + nodes - 1);
    }
    return nodes;
}

// Pixels. A gene's line is kLine high; from left to right stand the inputs, a zone where lines fan out, and for each
// node a gap with the two labels and then its box.
constexpr int kMargin = 20, kLine = 36, kBox = 50, kInputWidth = 90, kFan = 90, kGap = 160, kOut = 90, kOutWidth = 60;
constexpr int kFont = 20;

struct Layout {
    int nodes;
    int width() const { return kMargin + kInputWidth + kFan + nodes * (kGap + kBox) + kOut + kOutWidth + kMargin; }
    int height() const { return 2 * kMargin + kLine * (2 * nodes + 1); }
    /// Middle of the line of gene `g`.
    int line(int g) const { return kMargin + kLine * (g + 1); }
    /// Left side of the box of a state.
    int left(int state) const {
        return state < kInputs ? kMargin : kMargin + kInputWidth + kFan + (state - kInputs) * (kGap + kBox) + kGap;
    }
    int middle(int state) const {
        if (state < kInputs) return height() * (1 + 2 * state) / 4;
        return (line(2 * (state - kInputs)) + line(2 * (state - kInputs) + 1)) / 2;
    }
    int out_left() const { return width() - kMargin - kOutWidth; }
    int out_middle() const { return height() / 2; }
};

std::string path(const std::string& d) {
    return fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"black\" marker-end=\"url(#tip)\"/>\n", d);
}

std::string box(int left, int middle, int width, const Colour& colour, const std::string& label) {
    return fmt::format(
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\" stroke=\"black\" stroke-width=\"2\"/>\n"
        "<text x=\"{}\" y=\"{}\">{}</text>\n",
        left, middle - kBox / 2, width, kBox, colour.svg, left + width / 2, middle + kFont / 3, label);
}

/// From its state the line falls or rises to its own height, which no box before the node shares, and runs on to it.
std::string gene_path(const Layout& at, int gene, int from) {
    const int y = at.line(gene), end = at.left(kInputs + gene / 2) - 3, start = at.middle(from);
    if (from < kInputs) {
        const int x = at.left(from) + kInputWidth;
        return fmt::format("M {} {} C {} {} {} {} {} {} L {} {}", x, start, x + kFan / 2, start, x + kFan / 2, y,
                           x + kFan, y, end, y);
    }
    const int x = at.left(from) + kBox / 2, bottom = start + kBox / 2;
    return fmt::format("M {} {} Q {} {} {} {} L {} {}", x, bottom, x, y, x + kBox / 2, y, end, y);
}

}  // namespace

std::string to_dot(std::span<const Gene> genes, std::span<const int> concat) {
    const int nodes = node_count(genes, concat);
    std::string dot =
        "digraph {\n"
        "    edge [fontname=times fontsize=20]\n"
        "    node [align=center fontname=times fontsize=20 height=0.5 penwidth=2 shape=rect style=filled width=0.5]\n"
        "    rankdir=LR\n";
    auto node = [&](const std::string& name, const Colour& colour) {
        dot += fmt::format("    \"{}\" [fillcolor={}]\n", name, colour.dot);
    };
    for (int state = 0; state < kInputs; ++state) node(state_name(state), kInput);
    for (int i = 0; i < nodes; ++i) node(state_name(kInputs + i), kNode);
    for (std::size_t g = 0; g < genes.size(); ++g) {
        dot += fmt::format("    \"{}\" -> \"{}\" [label=\"{}\" fillcolor=gray]\n", state_name(genes[g].from), g / 2,
                           op_name(genes[g].op));
    }
    node("c_{k}", kOutput);
    for (int state : concat) dot += fmt::format("    \"{}\" -> \"c_{{k}}\" [fillcolor=gray]\n", state_name(state));
    return dot + "}\n";
}

std::string to_svg(std::span<const Gene> genes, std::span<const int> concat) {
    const Layout at{node_count(genes, concat)};
    std::string svg = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n"
        "<defs><marker id=\"tip\" viewBox=\"0 0 12 10\" refX=\"11\" refY=\"5\" markerWidth=\"12\" markerHeight=\"10\" "
        "orient=\"auto\"><path d=\"M 1 1 L 11 5 L 1 9 z\" fill=\"gray\" stroke=\"black\"/></marker></defs>\n"
        "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n"
        "<g font-family=\"Times, serif\" font-size=\"{2}\" text-anchor=\"middle\">\n",
        at.width(), at.height(), kFont);
    for (int state : concat) {
        // Above and to the right of a node there is nothing but these lines.
        const int x = at.left(state) + (state < kInputs ? kInputWidth : kBox), y = at.middle(state);
        const int last = at.left(kInputs + at.nodes - 1) + kBox;
        const int up = state < kInputs ? kMargin / 2 : y;
        std::string start = fmt::format("M {} {}", x, y);
        if (state < kInputs) start += fmt::format(" Q {} {} {} {}", x + kFan / 4, up, x + kFan, up);
        svg += path(fmt::format("{} L {} {} C {} {} {} {} {} {}", start, last, up, last + kOut / 2, up, last + kOut / 2,
                                at.out_middle(), at.out_left() - 3, at.out_middle()));
    }
    for (std::size_t g = 0; g < genes.size(); ++g) {
        const auto gene = static_cast<int>(g);
        svg += path(gene_path(at, gene, genes[g].from));
        svg += fmt::format("<text x=\"{}\" y=\"{}\">{}</text>\n", at.left(kInputs + gene / 2) - kGap / 2,
                           at.line(gene) - kFont / 3, op_name(genes[g].op));
    }
    for (int state = 0; state < kInputs + at.nodes; ++state) {
        const bool input = state < kInputs;
        svg += box(at.left(state), at.middle(state), input ? kInputWidth : kBox, input ? kInput : kNode,
                   state_name(state));
    }
    svg += box(at.out_left(), at.out_middle(), kOutWidth, kOutput, "c_{k}");
    return svg + "</g>\n</svg>\n";
}

}  // namespace nascent::darts
