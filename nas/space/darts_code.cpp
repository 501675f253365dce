#include "nas/space/darts_code.h"

#include <algorithm>
#include <cctype>

#include "engine/base/error.h"
#include "nas/space/darts_genotypes.h"

namespace nascent::darts {
namespace {

// RLNAS (CVPR 2021): its genotypes files and README.
constexpr PublishedCode kPublishedCodes[] = {
    {"RLNAS_cifar", {{5, 4, 6, 0, 5, 4, 0, 0, 7, 0, 7, 6, 0, 0}, {5, 6, 4, 0, 5, 0, 6, 0, 4, 0, 1, 5, 0, 0}}},
    {"RLNAS_imagenet", {{4, 4, 0, 3, 4, 0, 4, 4, 0, 3, 0, 0, 0, 4}, {4, 1, 4, 3, 0, 4, 6, 0, 0, 3, 4, 0, 0, 0}}},
    {"RLNAS_imagenet_free", {{4, 4, 0, 4, 4, 4, 5, 0, 0, 4, 4, 0, 0, 0}, {4, 4, 5, 0, 4, 5, 0, 5, 0, 0, 0, 4, 0, 4}}},
};

int inputs(const CellCode& cell, int node) {
    const auto first = cell.begin() + edge_index(node, 0);
    return static_cast<int>(kInputs + node - std::count(first, first + kInputs + node, 0));
}

bool separates(char c) {
    return std::isspace(static_cast<unsigned char>(c)) || std::string_view(",;|[](){}").find(c) != std::string::npos;
}

CellCode cell_code(const std::vector<Gene>& genes, const std::vector<int>& concat, const char* name) {
    NASCENT_CHECK(genes.size() == 2 * kNodes, usage, "the {} cell has {} nodes; a code is of {}", name,
                  genes.size() / 2, kNodes);
    NASCENT_CHECK((concat == std::vector<int>{2, 3, 4, 5}), usage,
                  "the {} cell's output is not range(2, 6); a code's is", name);
    CellCode cell{};
    for (std::size_t g = 0; g < genes.size(); ++g) {
        const int op = static_cast<int>(genes[g].op), node = static_cast<int>(g / 2);
        NASCENT_CHECK(op > 0 && op < kPrimitives, usage, "{} in the {} cell; a code has {} to {}", op_name(genes[g].op),
                      name, kOpNames[1], kOpNames[kPrimitives - 1]);
        auto& edge = cell[static_cast<std::size_t>(edge_index(node, genes[g].from))];
        NASCENT_CHECK(edge == 0, usage, "node {} of the {} cell reads state {} twice; a code cannot say that", node,
                      name, genes[g].from);
        edge = static_cast<std::uint8_t>(op);
    }
    return cell;
}

std::vector<Gene> genes_of(const CellCode& cell, const char* name) {
    std::vector<Gene> genes;
    for (int node = 0; node < kNodes; ++node) {
        NASCENT_CHECK(inputs(cell, node) == kNodeInputs, usage, "node {} of the {} cell has {} inputs; expected {}",
                      node, name, inputs(cell, node), kNodeInputs);
        for (int from = 0; from < kInputs + node; ++from) {
            const int op = cell[static_cast<std::size_t>(edge_index(node, from))];
            if (op) genes.push_back({static_cast<Op>(op), from});
        }
    }
    return genes;
}

}  // namespace

bool valid(const CellCode& cell) {
    for (int node = 0; node < kNodes; ++node) {
        if (inputs(cell, node) != kNodeInputs) return false;
    }
    return std::all_of(cell.begin(), cell.end(), [](int op) { return op < kPrimitives; });
}

bool valid(const Code& code) { return valid(code.normal) && valid(code.reduce); }

Code code_from(std::span<const int> numbers) {
    NASCENT_CHECK(numbers.size() == 2 * kEdges, data, "a DARTS candidate has {} genes, not {}", 2 * kEdges,
                  numbers.size());
    Code code;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        NASCENT_CHECK(numbers[i] >= 0 && numbers[i] < kPrimitives, data, "gene {} is {}; expected 0..{}", i, numbers[i],
                      kPrimitives - 1);
        code.cell(i >= kEdges)[i % kEdges] = static_cast<std::uint8_t>(numbers[i]);
    }
    return code;
}

std::vector<int> to_numbers(const Code& code) {
    std::vector<int> all(code.normal.begin(), code.normal.end());
    all.insert(all.end(), code.reduce.begin(), code.reduce.end());
    return all;
}

std::string to_string(const Code& code) {
    std::string text;
    for (bool reduction : {false, true}) {
        if (reduction) text += " |";
        for (int op : code.cell(reduction)) text += fmt::format("{}{}", text.empty() ? "" : " ", op);
    }
    return text;
}

Code parse_code(std::string_view text) {
    const bool letters = std::any_of(text.begin(), text.end(), [](unsigned char c) { return std::isalpha(c); });
    if (letters) return to_code(genotype_from(text));
    std::vector<int> numbers;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (separates(text[i])) continue;
        NASCENT_CHECK(text[i] >= '0' && text[i] < '0' + kPrimitives && (i + 1 == text.size() || separates(text[i + 1])),
                      usage, "DARTS code, column {}: expected 28 numbers of 0..{} with spaces or commas between them",
                      i + 1, kPrimitives - 1);
        NASCENT_CHECK(numbers.size() < 2 * kEdges, usage, "DARTS code, column {}: expected nothing after {} numbers",
                      i + 1, 2 * kEdges);
        numbers.push_back(text[i] - '0');
    }
    NASCENT_CHECK(numbers.size() == 2 * kEdges, usage,
                  "a DARTS code of {} numbers; expected {}: {} of the normal cell, then {} of the reduction cell",
                  numbers.size(), 2 * kEdges, kEdges, kEdges);
    return code_from(numbers);
}

Genotype to_genotype(const Code& code) {
    return {genes_of(code.normal, "normal"), {2, 3, 4, 5}, genes_of(code.reduce, "reduction"), {2, 3, 4, 5}};
}

Code to_code(const Genotype& g) {
    return {cell_code(g.normal, g.normal_concat, "normal"), cell_code(g.reduce, g.reduce_concat, "reduction")};
}

std::span<const PublishedCode> published_codes() { return kPublishedCodes; }

}  // namespace nascent::darts
