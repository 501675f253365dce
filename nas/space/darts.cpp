#include "nas/space/darts.h"

#include "engine/base/error.h"
#include "nas/space/nearest_name.h"

namespace nascent::darts {
namespace {

template <class Genes, class Name>
std::string pairs_text(const Genes& genes, const Name& name) {
    std::string text;
    for (const auto& gene : genes) {
        text += fmt::format("{}('{}', {})", text.empty() ? "" : ", ", name(gene.op), gene.from);
    }
    return "[" + text + "]";
}

std::string concat_text(const std::vector<int>& states) {
    bool counts = states.size() > 1;
    for (std::size_t i = 1; i < states.size(); ++i) counts = counts && states[i] == states[i - 1] + 1;
    if (counts) return fmt::format("range({}, {})", states.front(), states.back() + 1);
    std::string text;
    for (int state : states) text += fmt::format("{}{}", text.empty() ? "" : ", ", state);
    return "[" + text + "]";
}

}  // namespace

std::string_view op_name(Op op) {
    auto i = static_cast<std::size_t>(op);
    NASCENT_CHECK(i < kOpNames.size(), usage, "no DARTS operator has the number {}; expected 0..{}", i, kOps - 1);
    return kOpNames[i];
}

Op op_from_name(std::string_view name) { return static_cast<Op>(index_of_name("DARTS operator", name, kOpNames)); }

std::string to_string(const Genotype& g) {
    return fmt::format("Genotype(normal={}, normal_concat={}, reduce={}, reduce_concat={})",
                       pairs_text(g.normal, op_name), concat_text(g.normal_concat), pairs_text(g.reduce, op_name),
                       concat_text(g.reduce_concat));
}

std::string to_string(const RecurrentGenotype& g) {
    auto name = [](int op) { return kRecurrentOpNames.at(static_cast<std::size_t>(op)); };
    return fmt::format("Genotype(recurrent={}, concat={})", pairs_text(g.recurrent, name), concat_text(g.concat));
}

void validate(const Genotype& genotype) { parse_genotype(to_string(genotype)); }

}  // namespace nascent::darts
