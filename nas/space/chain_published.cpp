#include "nas/space/chain_published.h"

#include <algorithm>
#include <vector>

#include "engine/base/error.h"
#include "nas/space/nearest_name.h"

namespace nascent::chain {
namespace {

constexpr Published kPublished[] = {
    {"arch_README", "README", "shufflenet", "SPOS (Guo et al., ECCV 2020), README of its code: 323M, 74.4 %",
     "(2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3)"},
    {"319M_block", "paper_block", "shufflenet", "SPOS, block search of the paper: 319M, 74.3 %",
     "(0, 0, 3, 1, 1, 1, 0, 0, 2, 0, 2, 1, 1, 0, 2, 0, 2, 1, 3, 2)"},
    {"328M_block_channel", "paper_block_channel", "shufflenet-channels",
     "SPOS, block and channel search of the paper: 328M, 74.7 %",
     "((0, 0, 3, 1, 1, 1, 0, 0, 2, 0, 2, 1, 1, 0, 2, 0, 2, 1, 3, 2), "
     "(6, 5, 3, 5, 2, 6, 3, 4, 2, 5, 7, 5, 4, 6, 7, 4, 4, 5, 4, 3))"},
    {"SPOS_SUBNET", "mmrazor_SPOS_SUBNET", "shufflenet", "MMRazor's SPOS search: 3.35M, 0.33G, 73.87 %",
     "(2, 0, 2, 0, 3, 1, 1, 0, 0, 1, 0, 1, 0, 3, 1, 2, 2, 0, 1, 3)"},
    {"all_shuffle_3x3", "all_Shuffle3", "shufflenet", "reference",
     "(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)"},
    {"all_shuffle_5x5", "all_Shuffle5", "shufflenet", "reference",
     "(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)"},
    {"all_shuffle_7x7", "all_Shuffle7", "shufflenet", "reference",
     "(2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2)"},
    {"all_xception", "all_Xception", "shufflenet", "reference",
     "(3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3)"},
    {"SPOS_ABS", "", "mobilenet", "AngleNAS (Hu et al., ECCV 2020), SPOS on the shrunk space: 472M, 75.97 %",
     "(2, 2, -1, 0, 0, -1, -1, 0, 5, -1, 4, 4, 0, 0, 4, 2, 3, 4, 4, 4, 3)"},
    {"ProxylessNAS_ABS", "Proxyless_ABS", "mobilenet", "AngleNAS, ProxylessNAS on the shrunk space: 470M, 76.14 %",
     "(2, 2, -1, -1, 0, 2, 2, -1, 5, -1, 4, 4, 0, 0, 4, 2, 3, 4, 4, 4, 3)"},
    {"RLNAS", "", "mobilenet", "RLNAS (Zhang et al., CVPR 2021): 473M, 75.6 %",
     "(2, 0, -1, 2, 2, 0, 2, 4, 0, 4, 4, 2, 4, 2, 4, 2, 0, 0, 0, 2, 2)"},
    {"FairNAS_ABS", "", "mobilenet-fairnas",
     "AngleNAS, FairNAS on the shrunk space: 325M in its paper (312M counted rightly), 74.42 %",
     "(4, 2, 4, 2, 2, 2, 5, 2, 4, 4, 2, 2, 2, 4, 5, 4, 2, 2, 5)"},
    {"all_identity", "", "mobilenet-mmrazor", "reference: the smallest network of MMRazor's space",
     "(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1)"},
    {"all_mb_k3e3", "", "mobilenet", "reference", "(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)"},
    {"all_mb_k3e6", "", "mobilenet", "reference", "(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)"},
    {"all_mb_k5e3", "", "mobilenet", "reference", "(2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2)"},
    {"all_mb_k5e6", "", "mobilenet", "reference", "(3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3)"},
    {"all_mb_k7e3", "", "mobilenet", "reference", "(4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4)"},
    {"all_mb_k7e6", "", "mobilenet", "reference", "(5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5)"},
};

}  // namespace

std::span<const Published> published_architectures() { return kPublished; }

bool in_space(const Published& p, const Space& s) {
    const bool fairnas = s.rules == Rules::fairnas;
    if (p.space == "shufflenet") return s.family == Family::shufflenet;
    if (p.space == "mobilenet") return s.family == Family::mobilenet && !fairnas;
    return p.space == s.name;
}

Architecture published_architecture(const Space& s, std::string_view name) {
    std::vector<std::string_view> names;
    for (const Published& p : kPublished) {
        if (!in_space(p, s)) continue;
        if (!name.empty() && (p.name == name || p.also == name)) return parse_architecture(s, p.text);
        names.push_back(p.name);
    }
    fail(ErrorKind::usage, "no architecture of the space {} is called '{}'; nearest: {}", s.name, name.substr(0, 100),
         nearest_name(name, names));
}

Architecture architecture_from(const Space& s, std::string_view name_or_text) {
    const std::string_view name = without_quotes(name_or_text);
    const bool one_word = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return std::isalnum(c) || c == '_' || c == '-';
    });
    return one_word ? published_architecture(s, name) : parse_architecture(s, name_or_text);
}

std::string_view published_name(const Space& s, const Architecture& arch) {
    for (const Published& p : kPublished) {
        if (in_space(p, s) && parse_architecture(s, p.text) == arch) return p.name;
    }
    return {};
}

}  // namespace nascent::chain
