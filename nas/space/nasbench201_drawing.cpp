#include "nas/space/nasbench201_drawing.h"

#include <array>
#include <cmath>

#include "engine/base/error.h"

namespace nascent::nb201 {
namespace {

constexpr std::array<const char*, kNodes> kLabels = {"input", "1", "2", "output"};
constexpr std::array<const char*, kNodes> kDotColours = {"darkseagreen2", "lightblue", "lightblue", "palegoldenrod"};
// The same colours of X11 by number, for SVG readers that know only the CSS names.
constexpr std::array<const char*, kNodes> kSvgColours = {"#b4eeb4", "#add8e6", "#add8e6", "#eee8aa"};

// Nodes stand on one line. Edges to the next node are straight; longer ones are arcs above or below, so that no two
// labels share a place: 2<-0 above left, 3<-1 below right, 3<-0 above all.
constexpr int kWidth = 860, kHeight = 325, kLine = 200, kRadius = 30;
constexpr std::array<int, kNodes> kX = {70, 310, 550, 790};
constexpr std::array<int, kEdges> kRise = {0, -85, 0, -170, 85, 0};  // where the middle of an edge is from the line

/// A quadratic curve from circle to circle, its middle `rise` off the line.
std::string curve(int from_x, int to_x, int rise) {
    double control_x = 0.5 * (from_x + to_x), control_y = kLine + 2.0 * rise;
    auto on_circle = [&](int x, double gap) {
        double dx = control_x - x, dy = control_y - kLine, length = std::hypot(dx, dy);
        return std::pair{x + dx / length * (kRadius + gap), kLine + dy / length * (kRadius + gap)};
    };
    auto [x0, y0] = on_circle(from_x, 0);
    auto [x1, y1] = on_circle(to_x, 2);
    // Ends moved along the tangents lower the middle a little; the control point makes up for it.
    control_y = 2 * (kLine + rise) - 0.5 * (y0 + y1);
    return fmt::format("M {:.1f} {:.1f} Q {:.1f} {:.1f} {:.1f} {:.1f}", x0, y0, control_x, control_y, x1, y1);
}

}  // namespace

std::string to_dot(const Architecture& arch) {
    std::string dot = fmt::format("// {}\ndigraph cell {{\n    rankdir=LR;\n    node [shape=circle, style=filled];\n",
                                  to_string(arch));
    for (std::size_t n = 0; n < kNodes; ++n) {
        dot += fmt::format("    n{} [label=\"{}\", fillcolor={}];\n", n, kLabels[n], kDotColours[n]);
    }
    for (std::size_t e = 0; e < kEdges; ++e) {
        if (arch.ops[e] == Op::none) continue;
        dot +=
            fmt::format("    n{} -> n{} [label=\"{}\"];\n", kEdgeList[e].from, kEdgeList[e].to, op_name(arch.ops[e]));
    }
    return dot + "}\n";
}

std::string to_svg(const Architecture& arch) {
    std::string svg = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n"
        "<title>{2}</title>\n"
        "<defs><marker id=\"tip\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"9\" markerHeight=\"9\" "
        "orient=\"auto\"><path d=\"M 0 1 L 10 5 L 0 9 z\"/></marker></defs>\n"
        "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n"
        "<g font-family=\"sans-serif\" font-size=\"15\" text-anchor=\"middle\">\n",
        kWidth, kHeight, to_string(arch));
    for (std::size_t e = 0; e < kEdges; ++e) {
        if (arch.ops[e] == Op::none) continue;
        auto [to, from] = kEdgeList[e];
        int x0 = kX[static_cast<std::size_t>(from)], x1 = kX[static_cast<std::size_t>(to)];
        svg += fmt::format(
            "<path d=\"{}\" fill=\"none\" stroke=\"black\" stroke-width=\"1.5\" marker-end=\"url(#tip)\"/>\n",
            curve(x0, x1, kRise[e]));
        // Above the edge, or under it where the edge itself is under the line.
        int y = kLine + kRise[e] + (kRise[e] > 0 ? 19 : -8);
        svg += fmt::format("<text x=\"{}\" y=\"{}\">{}</text>\n", (x0 + x1) / 2, y, op_name(arch.ops[e]));
    }
    for (std::size_t n = 0; n < kNodes; ++n) {
        svg += fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{}\" stroke=\"black\"/>\n", kX[n], kLine,
                           kRadius, kSvgColours[n]);
        svg += fmt::format("<text x=\"{}\" y=\"{}\">{}</text>\n", kX[n], kLine + 5, kLabels[n]);
    }
    return svg + "</g>\n</svg>\n";
}

}  // namespace nascent::nb201
