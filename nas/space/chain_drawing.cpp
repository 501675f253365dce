#include "nas/space/chain_drawing.h"

#include <fmt/format.h>

#include <algorithm>

#include "nas/space/chain_net.h"

namespace nascent::chain {
namespace {

// X11 colours by number, as in the drawings of cells: what goes in and out as there, operators by kernel.
constexpr const char *kEnd = "#b4eeb4", *kHead = "#eee8aa";

const char* colour(const Op& op) {
    if (op.kind == OpKind::identity) return "white";
    if (op.kind == OpKind::xception) return "#dda0dd";
    return op.kernel == 3 ? "#add8e6" : op.kernel == 5 ? "#ffdab9" : "#f4a7a0";
}

// Pixels. Each stage is a line of cells; boxes stand in the middle of theirs.
constexpr int kMargin = 20, kCell = 130, kLine = 130, kLabel = 120, kFont = 16, kSmall = 12;

struct Canvas {
    std::string svg;

    void box(int x, int y, int width, int height, const char* fill, const std::string& label, const std::string& below,
             bool dashed = false) {
        svg += fmt::format(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\" stroke=\"black\" stroke-width=\"2\"{}/>\n",
            x - width / 2, y - height / 2, width, height, fill, dashed ? " stroke-dasharray=\"5 4\"" : "");
        text(x, y + kFont / 3, kFont, label);
        if (!below.empty()) text(x, y + 52, kSmall, below);
    }
    void text(int x, int y, int size, const std::string& content) {
        svg += fmt::format("<text x=\"{}\" y=\"{}\" font-size=\"{}\">{}</text>\n", x, y, size, content);
    }
    void arrow(const std::string& d) {
        svg += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"black\" marker-end=\"url(#tip)\"/>\n", d);
    }
};

/// Half the width of the box of an operator; `inner` is its inner width as a share of the usual one, in fifths.
int half_width(const Op& op, int inner) {
    if (op.kind == OpKind::mbconv) return op.expansion == 6 ? 48 : 34;
    return op.kind == OpKind::identity ? 20 : std::clamp(16 + 6 * inner, 24, 54);
}
int half_height(const Op& op) { return op.kind == OpKind::identity ? 12 : 12 + 2 * op.kernel; }

std::string label(const Op& op, bool projected) {
    switch (op.kind) {
        case OpKind::shuffle:
            return fmt::format("{0}x{0}", op.kernel);
        case OpKind::xception:
            return "Xcep";
        case OpKind::mbconv:
            return fmt::format("{0}x{0} e{1}", op.kernel, op.expansion);
        case OpKind::identity:
            return projected ? "1x1" : "id";
    }
    return {};
}

}  // namespace

std::string to_svg(const Space& s, const Architecture& arch) {
    validate(s, arch);
    int longest = 0;
    for (const Block& b : s.blocks) longest = std::max(longest, b.place + 1);
    const int stages = s.blocks.back().stage + 1, width = 2 * kMargin + kLabel + (longest + 1) * kCell,
              height = 2 * kMargin + (stages + 1) * kLine;
    auto x_of = [](int place) { return kMargin + kLabel + kCell / 2 + place * kCell; };
    auto y_of = [](int line) { return kMargin + kLine / 2 + line * kLine; };
    Canvas c;
    c.svg = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n"
        "<defs><marker id=\"tip\" viewBox=\"0 0 12 10\" refX=\"11\" refY=\"5\" markerWidth=\"12\" markerHeight=\"10\" "
        "orient=\"auto\"><path d=\"M 1 1 L 11 5 L 1 9 z\" fill=\"gray\" stroke=\"black\"/></marker></defs>\n"
        "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n"
        "<g font-family=\"Times, serif\" text-anchor=\"middle\">\n",
        width, height);
    const bool fixed = s.family == Family::mobilenet;
    constexpr int stem = 42;
    c.text(kMargin + kLabel / 2, y_of(0), kFont, fmt::format("{0} x {0}", s.config.input_size));
    c.box(x_of(0), y_of(0), 2 * stem, 36, kEnd, "conv 3x3", fmt::format("s2, {}", s.stem));
    if (fixed) {
        c.arrow(fmt::format("M {} {} L {} {}", x_of(0) + stem, y_of(0), x_of(1) - stem - 3, y_of(0)));
        c.box(x_of(1), y_of(0), 2 * stem, 36, kEnd, "3x3 e1", fmt::format("{}", s.stem_out));
    }
    int from_x = x_of(fixed), from_half = stem;
    for (const Block& b : s.blocks) {
        const auto i = static_cast<std::size_t>(b.index);
        const Op& op = s.op(arch.ops[i]);
        const int scale = arch.scales.empty() ? kUnscaled : arch.scales[i], line = b.stage + 1;
        const int half = half_width(op, scale + 1), x = x_of(b.place), y = y_of(line);
        if (b.place == 0) {
            // Down from the last box of the line above, and to the left between the lines.
            const int middle = y - kLine / 2;
            c.arrow(fmt::format("M {} {} L {} {} L {} {} L {} {} L {} {} L {} {}", from_x + from_half, y - kLine,
                                from_x + from_half + 14, y - kLine, from_x + from_half + 14, middle,
                                kMargin + kLabel - 14, middle, kMargin + kLabel - 14, y, x - half - 3, y));
            c.text(kMargin + (kLabel - 14) / 2, y - kFont / 2, kFont, fmt::format("{0} x {0}", b.out_size));
            c.text(kMargin + (kLabel - 14) / 2, y + kFont, kFont, fmt::format("{} wide", b.out));
        } else {
            c.arrow(fmt::format("M {} {} L {} {}", from_x + from_half, y, x - half - 3, y));
        }
        std::string below = b.stride == 2 ? "s2" : "";
        if (s.channels) below += fmt::format("{}{}", below.empty() ? "" : ", ", shuffle_shape(s, b, scale).mid);
        c.box(x, y, 2 * half, 2 * half_height(op), colour(op), label(op, !has_residual(b)), below,
              op.kind == OpKind::identity);
        from_x = x;
        from_half = half;
    }
    const Block& last = s.blocks.back();
    const int x = x_of(last.place + 1), y = y_of(stages);
    c.arrow(fmt::format("M {} {} L {} {}", from_x + from_half, y, x - 51, y));
    c.box(x, y, 96, 36, kHead, fmt::format("1x1, {}", s.last), fmt::format("pool, {} classes", s.config.classes));
    return c.svg + "</g>\n</svg>\n";
}

}  // namespace nascent::chain
