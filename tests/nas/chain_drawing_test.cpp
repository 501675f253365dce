// Pictures of architectures of chains.
#include "nas/space/chain_drawing.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "nas/space/chain_published.h"
#include "tests/texts.h"

using namespace nascent;
using namespace nascent::chain;
using namespace nascent::test;

namespace {

struct Box {
    double left, right, top, bottom;
    bool apart(const Box& b) const { return right <= b.left || b.right <= left || bottom <= b.top || b.bottom <= top; }
};

std::vector<Box> boxes_of(const std::string& svg) {
    std::vector<Box> boxes;
    for (std::size_t at = svg.find("<rect x"); at != std::string::npos; at = svg.find("<rect x", at + 1)) {
        double x = 0, y = 0, w = 0, h = 0;
        CHECK(std::sscanf(svg.c_str() + at, "<rect x=\"%lf\" y=\"%lf\" width=\"%lf\" height=\"%lf\"", &x, &y, &w, &h) ==
              4);
        boxes.push_back({x, x + w, y, y + h});
    }
    return boxes;
}

/// Letters of Times are at most 0.62 of their size wide on average here, 0.8 above the line and 0.25 below it.
std::vector<std::pair<std::string, Box>> texts_of(const std::string& svg) {
    std::vector<std::pair<std::string, Box>> texts;
    for (std::size_t at = svg.find("<text"); at != std::string::npos; at = svg.find("<text", at + 1)) {
        double x = 0, y = 0, size = 0;
        CHECK(std::sscanf(svg.c_str() + at, "<text x=\"%lf\" y=\"%lf\" font-size=\"%lf\"", &x, &y, &size) == 3);
        const std::size_t from = svg.find('>', at) + 1;
        const std::string label = svg.substr(from, svg.find('<', from) - from);
        const double half = 0.31 * size * static_cast<double>(label.size());
        texts.push_back({label, {x - half, x + half, y - 0.8 * size, y + 0.25 * size}});
    }
    return texts;
}

}  // namespace

TEST_CASE("drawings of chains show every block") {
    for (std::string_view name : kSpaces) {
        const Space s = space(name);
        for (const Published& p : published_architectures()) {
            if (!in_space(p, s)) continue;
            CAPTURE(std::string(p.name));
            const Architecture arch = parse_architecture(s, p.text);
            const std::string svg = to_svg(s, arch);
            CHECK(svg.ends_with("</svg>\n"));
            const bool mobile = s.family == Family::mobilenet;
            const int blocks = static_cast<int>(s.blocks.size()), all = blocks + 2 + mobile;
            const auto boxes = boxes_of(svg);
            CHECK(static_cast<int>(boxes.size()) == all);
            CHECK(count_of(svg, "marker-end") == all - 1);
            int identities = 0, strided = 0;
            for (const Block& b : s.blocks) {
                identities += arch.ops[static_cast<std::size_t>(b.index)] == kIdentity;
                strided += b.stride == 2;
            }
            CHECK(count_of(svg, "stroke-dasharray") == identities);
            CHECK(count_of(svg, ">s2") == strided + 1);
            CHECK(count_of(svg, " wide<") == s.blocks.back().stage + 1);
            // In the order of the blocks: the labels of their boxes.
            std::vector<std::string> expected, found;
            for (int id : arch.ops) {
                const Op& op = s.op(id);
                expected.push_back(op.kind == OpKind::shuffle    ? fmt::format("{0}x{0}", op.kernel)
                                   : op.kind == OpKind::xception ? "Xcep"
                                   : op.kind == OpKind::mbconv   ? fmt::format("{0}x{0} e{1}", op.kernel, op.expansion)
                                                                 : "id");
            }
            const auto texts = texts_of(svg);
            for (const auto& [label, box] : texts) {
                if (label == "id" || label == "1x1" || label == "Xcep" ||
                    (label.size() > 2 && label[1] == 'x' && label != "3x3 e1" && !label.starts_with("1x1,")))
                    found.push_back(label == "1x1" ? "id" : label);
            }
            CHECK(found == expected);
            // Inside the picture and apart from each other; labels inside their boxes.
            double width = 0, height = 0;
            CHECK(std::sscanf(svg.c_str() + svg.find("viewBox"), "viewBox=\"0 0 %lf %lf\"", &width, &height) == 2);
            for (std::size_t i = 0; i < boxes.size(); ++i) {
                const Box& b = boxes[i];
                CHECK((b.left >= 0 && b.right <= width && b.top >= 0 && b.bottom <= height));
                for (std::size_t j = 0; j < i; ++j) CHECK(b.apart(boxes[j]));
            }
            for (std::size_t i = 0; i < texts.size(); ++i) {
                const Box& t = texts[i].second;
                CAPTURE(texts[i].first);
                CHECK((t.left >= 0 && t.right <= width && t.top >= 0 && t.bottom <= height));
                for (std::size_t j = 0; j < i; ++j) CHECK(t.apart(texts[j].second));
                int inside = 0, touched = 0;
                for (const Box& b : boxes) {
                    touched += !t.apart(b);
                    inside += t.left >= b.left && t.right <= b.right && t.top >= b.top && t.bottom <= b.bottom;
                }
                CHECK(inside == touched);
            }
        }
    }
    const Space s = space("shufflenet");
    CHECK_THROWS_AS(to_svg(s, {{0, 1, 2}, {}}), Error);
    // Inner widths are written and drawn.
    const Space channels = space("shufflenet-channels");
    const std::string svg = to_svg(channels, published_architecture(channels, "328M_block_channel"));
    CHECK(count_of(svg, ">25<") == 1);
    CHECK(count_of(svg, ">s2, 44<") == 1);
}
