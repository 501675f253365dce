#include "nas/space/darts_genotypes.h"

#include <algorithm>
#include <vector>

#include "engine/base/error.h"
#include "nas/space/nearest_name.h"

namespace nascent::darts {
namespace {

// The genotypes files of DARTS, PC-DARTS, EvNAS, RLNAS and AngleNAS; where several have a cell, they agree.
constexpr Published kPublished[] = {
    {"NASNet", "", Family::convolutional, "NASNet-A (Zoph et al., CVPR 2018), as the DARTS code has it",
     "Genotype(normal=[('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('sep_conv_5x5', 0), ('sep_conv_3x3', 0), "
     "('avg_pool_3x3', 1), ('skip_connect', 0), ('avg_pool_3x3', 0), ('avg_pool_3x3', 0), ('sep_conv_3x3', "
     "1), ('skip_connect', 1)], normal_concat=range(2, 7), reduce=[('sep_conv_5x5', 1), ('sep_conv_7x7', "
     "0), ('max_pool_3x3', 1), ('sep_conv_7x7', 0), ('avg_pool_3x3', 1), ('sep_conv_5x5', 0), "
     "('skip_connect', 3), ('avg_pool_3x3', 2), ('sep_conv_3x3', 2), ('max_pool_3x3', 1)], "
     "reduce_concat=range(4, 7))"},
    {"AmoebaNet", "", Family::convolutional, "AmoebaNet-A (Real et al., AAAI 2019), as the DARTS code has it",
     "Genotype(normal=[('avg_pool_3x3', 0), ('max_pool_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_5x5', 2), "
     "('sep_conv_3x3', 0), ('avg_pool_3x3', 3), ('sep_conv_3x3', 1), ('skip_connect', 1), ('skip_connect', "
     "0), ('avg_pool_3x3', 1)], normal_concat=range(4, 7), reduce=[('avg_pool_3x3', 0), ('sep_conv_3x3', "
     "1), ('max_pool_3x3', 0), ('sep_conv_7x7', 2), ('sep_conv_7x7', 0), ('avg_pool_3x3', 1), "
     "('max_pool_3x3', 0), ('max_pool_3x3', 1), ('conv_7x1_1x7', 0), ('sep_conv_3x3', 5)], "
     "reduce_concat=[3, 4, 6])"},
    {"DARTS_V1", "", Family::convolutional, "DARTS (Liu et al., ICLR 2019), CIFAR-10, first order",
     "Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 0), ('sep_conv_3x3', 1), "
     "('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 2)], "
     "normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
     "('max_pool_3x3', 0), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', "
     "0)], reduce_concat=range(2, 6))"},
    {"DARTS_V2", "DARTS", Family::convolutional, "DARTS (Liu et al., ICLR 2019), CIFAR-10, second order",
     "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
     "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
     "normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
     "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', "
     "1)], reduce_concat=range(2, 6))"},
    {"EvNASA", "", Family::convolutional, "EvNAS (Sinha and Chen), CIFAR-10, cell A",
     "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_5x5', 2), ('sep_conv_3x3', 1), "
     "('skip_connect', 0), ('skip_connect', 2), ('dil_conv_5x5', 3), ('sep_conv_3x3', 1)], "
     "normal_concat=range(2, 6), reduce=[('dil_conv_5x5', 1), ('avg_pool_3x3', 0), ('sep_conv_3x3', 0), "
     "('avg_pool_3x3', 2), ('skip_connect', 1), ('skip_connect', 2), ('skip_connect', 1), ('sep_conv_5x5', "
     "0)], reduce_concat=range(2, 6))"},
    {"EvNASB", "", Family::convolutional, "EvNAS, CIFAR-10, cell B",
     "Genotype(normal=[('sep_conv_5x5', 0), ('sep_conv_3x3', 1), ('sep_conv_5x5', 2), ('max_pool_3x3', 0), "
     "('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_5x5', 2)], "
     "normal_concat=range(2, 6), reduce=[('skip_connect', 1), ('max_pool_3x3', 0), ('max_pool_3x3', 0), "
     "('avg_pool_3x3', 1), ('skip_connect', 2), ('avg_pool_3x3', 3), ('sep_conv_5x5', 2), ('sep_conv_5x5', "
     "0)], reduce_concat=range(2, 6))"},
    {"EvNASC", "", Family::convolutional, "EvNAS, CIFAR-10, cell C",
     "Genotype(normal=[('skip_connect', 0), ('sep_conv_3x3', 1), ('skip_connect', 2), ('sep_conv_5x5', 1), "
     "('max_pool_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 0), ('sep_conv_5x5', 3)], "
     "normal_concat=range(2, 6), reduce=[('sep_conv_5x5', 1), ('dil_conv_3x3', 0), ('sep_conv_5x5', 0), "
     "('skip_connect', 1), ('max_pool_3x3', 0), ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('max_pool_3x3', "
     "2)], reduce_concat=range(2, 6))"},
    {"PC_DARTS_cifar", "PCDARTS", Family::convolutional, "PC-DARTS (Xu et al., ICLR 2020), CIFAR-10",
     "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), ('dil_conv_3x3', 1), "
     "('sep_conv_5x5', 0), ('sep_conv_3x3', 1), ('avg_pool_3x3', 0), ('dil_conv_3x3', 1)], "
     "normal_concat=range(2, 6), reduce=[('sep_conv_5x5', 1), ('max_pool_3x3', 0), ('sep_conv_5x5', 1), "
     "('sep_conv_5x5', 2), ('sep_conv_3x3', 0), ('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('sep_conv_3x3', "
     "2)], reduce_concat=range(2, 6))"},
    {"PC_DARTS_image", "", Family::convolutional, "PC-DARTS (Xu et al., ICLR 2020), ImageNet",
     "Genotype(normal=[('skip_connect', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 0), ('skip_connect', 1), "
     "('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('dil_conv_5x5', 4)], "
     "normal_concat=range(2, 6), reduce=[('sep_conv_3x3', 0), ('skip_connect', 1), ('dil_conv_5x5', 2), "
     "('max_pool_3x3', 1), ('sep_conv_3x3', 2), ('sep_conv_3x3', 1), ('sep_conv_5x5', 0), ('sep_conv_3x3', "
     "3)], reduce_concat=range(2, 6))"},
    {"RLNAS_cifar", "RLDARTS", Family::convolutional, "RLNAS (Zhang et al., CVPR 2021), searched on CIFAR-10",
     "Genotype(normal=[('sep_conv_5x5', 0), ('sep_conv_3x3', 1), ('dil_conv_3x3', 0), ('sep_conv_5x5', 2), "
     "('sep_conv_3x3', 0), ('dil_conv_5x5', 3), ('dil_conv_5x5', 1), ('dil_conv_3x3', 2)], "
     "normal_concat=range(2, 6), reduce=[('sep_conv_5x5', 0), ('dil_conv_3x3', 1), ('sep_conv_3x3', 0), "
     "('sep_conv_5x5', 2), ('dil_conv_3x3', 1), ('sep_conv_3x3', 3), ('max_pool_3x3', 1), ('sep_conv_5x5', "
     "2)], reduce_concat=range(2, 6))"},
    {"RLNAS_imagenet", "", Family::convolutional, "RLNAS, searched on ImageNet, at most 600M",
     "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('skip_connect', 1), ('sep_conv_3x3', 2), "
     "('sep_conv_3x3', 1), ('sep_conv_3x3', 2), ('skip_connect', 0), ('sep_conv_3x3', 4)], "
     "normal_concat=range(2, 6), reduce=[('sep_conv_3x3', 0), ('max_pool_3x3', 1), ('sep_conv_3x3', 0), "
     "('skip_connect', 1), ('sep_conv_3x3', 0), ('dil_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', "
     "1)], reduce_concat=range(2, 6))"},
    {"RLNAS_imagenet_free", "", Family::convolutional, "RLNAS, searched on ImageNet without a limit",
     "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2), "
     "('sep_conv_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1)], "
     "normal_concat=range(2, 6), reduce=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_5x5', 0), "
     "('sep_conv_3x3', 2), ('sep_conv_5x5', 0), ('sep_conv_5x5', 2), ('sep_conv_3x3', 2), ('sep_conv_3x3', "
     "4)], reduce_concat=range(2, 6))"},
    {"DARTS_ABS", "", Family::convolutional, "AngleNAS (Hu et al., ECCV 2020): DARTS in the shrunk space, ImageNet",
     "Genotype(normal=[('sep_conv_3x3', 1), ('dil_conv_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_3x3', 2), "
     "('dil_conv_3x3', 2), ('sep_conv_5x5', 1), ('dil_conv_3x3', 4), ('dil_conv_5x5', 2)], "
     "normal_concat=range(2, 6), reduce=[('dil_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_5x5', 0), "
     "('sep_conv_3x3', 2), ('dil_conv_3x3', 0), ('dil_conv_5x5', 3), ('dil_conv_3x3', 0), ('dil_conv_3x3', "
     "2)], reduce_concat=range(2, 6))"},
    {"PDARTS_ABS", "", Family::convolutional, "AngleNAS: P-DARTS in the shrunk space, ImageNet",
     "Genotype(normal=[('dil_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2), "
     "('sep_conv_5x5', 0), ('sep_conv_5x5', 3), ('dil_conv_5x5', 2), ('dil_conv_3x3', 4)], "
     "normal_concat=range(2, 6), reduce=[('dil_conv_3x3', 0), ('dil_conv_5x5', 1), ('sep_conv_3x3', 1), "
     "('sep_conv_5x5', 2), ('dil_conv_5x5', 1), ('sep_conv_5x5', 3), ('dil_conv_3x3', 2), ('dil_conv_3x3', "
     "4)], reduce_concat=range(2, 6))"},
    {"ENAS", "", Family::recurrent, "ENAS (Pham et al., ICML 2018), Penn Treebank, as the DARTS code has it",
     "Genotype(recurrent=[('tanh', 0), ('tanh', 1), ('relu', 1), ('tanh', 3), ('tanh', 3), ('relu', 3), "
     "('relu', 4), ('relu', 7), ('relu', 8), ('relu', 8), ('relu', 8)], concat=[2, 5, 6, 9, 10, 11])"},
    {"DARTS_V1", "", Family::recurrent, "DARTS, Penn Treebank, first order",
     "Genotype(recurrent=[('relu', 0), ('relu', 1), ('tanh', 2), ('relu', 3), ('relu', 4), ('identity', "
     "1), ('relu', 5), ('relu', 1)], concat=range(1, 9))"},
    {"DARTS_V2", "", Family::recurrent, "DARTS, Penn Treebank, second order",
     "Genotype(recurrent=[('sigmoid', 0), ('relu', 1), ('relu', 1), ('identity', 1), ('tanh', 2), "
     "('sigmoid', 5), ('tanh', 3), ('relu', 5)], concat=range(1, 9))"},
    {"resnet", "", Family::nasbench201, "the residual block in NAS-Bench-201's terms, EvNAS's reference cells",
     "|nor_conv_3x3~0|+|nor_conv_3x3~1|+|skip_connect~0|skip_connect~2|"},
    {"all_c3x3", "", Family::nasbench201, "EvNAS's reference cells",
     "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"},
    {"all_c1x1", "", Family::nasbench201, "EvNAS's reference cells",
     "|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|nor_conv_1x1~0|nor_conv_1x1~1|nor_conv_1x1~2|"},
    {"all_idnt", "", Family::nasbench201, "EvNAS's reference cells",
     "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"},
    {"all_full", "", Family::nasbench201, "EvNAS's reference cells: four operators on each edge",
     "|skip_connect~0|nor_conv_1x1~0|nor_conv_3x3~0|avg_pool_3x3~0|+"
     "|skip_connect~0|nor_conv_1x1~0|nor_conv_3x3~0|avg_pool_3x3~0"
     "|skip_connect~1|nor_conv_1x1~1|nor_conv_3x3~1|avg_pool_3x3~1|+"
     "|skip_connect~0|nor_conv_1x1~0|nor_conv_3x3~0|avg_pool_3x3~0"
     "|skip_connect~1|nor_conv_1x1~1|nor_conv_3x3~1|avg_pool_3x3~1"
     "|skip_connect~2|nor_conv_1x1~2|nor_conv_3x3~2|avg_pool_3x3~2|"},
};

const Published* find(std::string_view name) {
    for (const Published& p : kPublished) {
        if (p.family == Family::convolutional && !name.empty() && (p.name == name || p.also == name)) return &p;
    }
    return nullptr;
}

}  // namespace

std::span<const Published> published_cells() { return kPublished; }

Genotype published_genotype(std::string_view name) {
    if (const Published* p = find(name)) return parse_genotype(p->text);
    std::vector<std::string_view> names;
    for (const Published& p : kPublished) {
        if (p.family == Family::convolutional) names.push_back(p.name);
    }
    fail(ErrorKind::usage, "no published genotype is called '{}'; nearest: {}", name.substr(0, 100),
         nearest_name(name, names));
}

Genotype genotype_from(std::string_view name_or_text) {
    const std::string_view name = without_quotes(name_or_text);
    const bool one_word =
        std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-'; });
    return one_word && !name.empty() ? published_genotype(name) : parse_genotype(name_or_text);
}

}  // namespace nascent::darts
