// Pictures of DARTS cells.
#include "nas/space/darts_drawing.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "nas/space/darts_genotypes.h"
#include "tests/texts.h"

using namespace nascent;
using namespace nascent::darts;
using namespace nascent::test;

TEST_CASE("drawings of DARTS cells") {
    for (const Published& p : published_cells()) {
        if (p.family != Family::convolutional) continue;
        const Genotype g = parse_genotype(p.text);
        for (const auto& [genes, concat] : {std::pair{g.normal, g.normal_concat}, {g.reduce, g.reduce_concat}}) {
            const std::string dot = to_dot(genes, concat), svg = to_svg(genes, concat);
            const int edges = static_cast<int>(genes.size() + concat.size());
            CHECK(count_of(dot, " -> ") == edges);
            CHECK(count_of(svg, "marker-end") == edges);
            CHECK(count_of(svg, "<rect") == 1 + 2 + static_cast<int>(genes.size()) / 2 + 1);
            std::size_t at = 0;  // in the order of the genes
            for (std::size_t i = 0; i < genes.size(); ++i) {
                const int from = genes[i].from;
                const std::string source = from == 0 ? "c_{k-2}" : from == 1 ? "c_{k-1}" : std::to_string(from - 2);
                at = dot.find(fmt::format("\"{}\" -> \"{}\" [label=\"{}\"", source, i / 2, op_name(genes[i].op)), at);
                CHECK(at != std::string::npos);
            }
            for (int state : concat) CHECK(contains(dot, fmt::format("\"{}\" -> \"c_{{k}}\"", state - 2)));
            for (const char* part : {"rankdir=LR", "darkseagreen2", "lightblue", "palegoldenrod", "fillcolor=gray"})
                CHECK(contains(dot, part));
            for (const char* part : {"#b4eeb4", "#add8e6", "#eee8aa", "</svg>"}) CHECK(contains(svg, part));
        }
    }
    CHECK_THROWS_AS(to_dot(std::vector<Gene>{{Op::none, 0}}, std::vector<int>{2}), Error);
    CHECK_THROWS_AS(to_svg(std::vector<Gene>{{Op::none, 0}, {Op::none, 2}}, std::vector<int>{2}), Error);
    CHECK_THROWS_AS(to_svg(std::vector<Gene>{{Op::none, 0}, {Op::none, 1}}, std::vector<int>{3}), Error);
}

TEST_CASE("labels and boxes of a drawn DARTS cell lie inside it and apart from each other") {
    for (const char* name : {"DARTS_V1", "PC_DARTS_image", "AmoebaNet", "NASNet"}) {
        const Genotype g = published_genotype(name);
        const std::string svg = to_svg(g.reduce, g.reduce_concat);
        double width = 0, height = 0;
        CHECK(std::sscanf(svg.c_str() + svg.find("viewBox"), "viewBox=\"0 0 %lf %lf\"", &width, &height) == 2);
        struct Box {
            double left, right, top, bottom;
        };
        std::vector<Box> boxes;
        for (std::size_t at = svg.find("<text"); at != std::string::npos; at = svg.find("<text", at + 1)) {
            double x = 0, y = 0;
            CHECK(std::sscanf(svg.c_str() + at, "<text x=\"%lf\" y=\"%lf\"", &x, &y) == 2);
            const std::size_t from = svg.find('>', at) + 1;
            const std::string label = svg.substr(from, svg.find('<', from) - from);
            // Letters of a 20 pixel Times are at most 12 wide on average here, from 16 above the line to 5 below it.
            if (contains(label, "conv_") || contains(label, "pool_") || contains(label, "skip")) {
                const double half = 6.0 * static_cast<double>(label.size());
                boxes.push_back({x - half, x + half, y - 16, y + 5});
            }
        }
        CHECK(boxes.size() == g.reduce.size());
        for (std::size_t at = svg.find("<rect x"); at != std::string::npos; at = svg.find("<rect x", at + 1)) {
            double x = 0, y = 0, w = 0, h = 0;
            CHECK(std::sscanf(svg.c_str() + at, "<rect x=\"%lf\" y=\"%lf\" width=\"%lf\" height=\"%lf\"", &x, &y, &w,
                              &h) == 4);
            boxes.push_back({x, x + w, y, y + h});
        }
        for (std::size_t i = 0; i < boxes.size(); ++i) {
            const Box& a = boxes[i];
            CHECK((a.left >= 0 && a.right <= width && a.top >= 0 && a.bottom <= height));
            for (std::size_t j = 0; j < i; ++j) {
                const Box& b = boxes[j];
                CHECK((a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top));
            }
        }
    }
}
