// Parameters and multiply-accumulates of DARTS networks. The figures are those of the original models, counted by
// PyTorch and again by a counter of its own.
#include "nas/metric/darts_cost.h"

#include <doctest/doctest.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "nas/space/darts_genotypes.h"

using namespace nascent;
using namespace nascent::darts;

namespace {

Cost cost(const char* name, const char* data, bool auxiliary = true) {
    NetConfig config = evaluation_config(data);
    config.auxiliary = auxiliary;
    return cost_of(evaluation_net(config, published_genotype(name)));
}

std::vector<std::int64_t> cell_params(const Net& net) {
    std::vector<std::int64_t> all;
    for (const Cell& c : net.cells) all.push_back(cost_of_cell(net, c.index).params);
    return all;
}

std::int64_t part_params(const Net& net, Part part) {
    std::int64_t n = 0;
    for (const Layer& l : net.layers) n += l.part == part ? l.parameters() : 0;
    return n;
}

}  // namespace

TEST_CASE("parameters and MACs of published cells at the papers' sizes") {
    struct Row {
        const char* name;
        std::int64_t cifar10, cifar10_auxiliary, cifar10_macs;
        std::int64_t cifar100, cifar100_auxiliary;
        std::int64_t imagenet, imagenet_auxiliary, imagenet_conv_macs, imagenet_macs;
    };
    for (const Row& row : {
             Row{"DARTS_V1", 3169414, 3645840, 500987520, 3221344, 3766980, 4510432, 5771208, 505096704, 505864704},
             Row{"DARTS_V2", 3349342, 3825768, 528359040, 3401272, 3946908, 4718752, 5979528, 529143552, 529911552},
             Row{"EvNASA", 3626470, 4102896, 568089216, 3678400, 4224036, 5136640, 6397416, 569701440, 570469440},
             Row{"EvNASB", 3827782, 4304208, 608925312, 3879712, 4425348, 5318176, 6578952, 599364864, 600132864},
             Row{"EvNASC", 3447838, 3924264, 544699008, 3499768, 4045404, 4907776, 6168552, 546708288, 547476288},
             Row{"PC_DARTS_cifar", 3634678, 4111104, 556670592, 3686608, 4232244, 5270560, 6531336, 570369408,
                 571137408},
             Row{"PC_DARTS_image", 3721510, 4197936, 570466944, 3773440, 4319076, 5342464, 6603240, 580859328,
                 581627328},
             Row{"NASNet", 3830950, 4288944, 603452448, 3895840, 4423044, 5564320, 6800520, 603071616, 604031616},
             Row{"AmoebaNet", 3145078, 3603072, 488931552, 3184048, 3711252, 4627360, 5863560, 526170624, 526746624},
         }) {
        CAPTURE(std::string(row.name));
        const Cost ten = cost(row.name, "cifar10"), hundred = cost(row.name, "cifar100"),
                   imagenet = cost(row.name, "imagenet");
        CHECK(ten.params == row.cifar10);
        CHECK(ten.params + ten.auxiliary_params == row.cifar10_auxiliary);
        CHECK(ten.macs() == row.cifar10_macs);
        CHECK(hundred.params == row.cifar100);
        CHECK(hundred.params + hundred.auxiliary_params == row.cifar100_auxiliary);
        CHECK(hundred.macs() - hundred.linear_macs == ten.macs() - ten.linear_macs);
        CHECK(hundred.linear_macs == 10 * ten.linear_macs);
        CHECK(imagenet.params == row.imagenet);
        CHECK(imagenet.params + imagenet.auxiliary_params == row.imagenet_auxiliary);
        CHECK(imagenet.macs(MacConvention::conv) == row.imagenet_conv_macs);
        CHECK(imagenet.macs(MacConvention::mac) == row.imagenet_macs);
        const Cost without = cost(row.name, "cifar10", false);
        CHECK(without.params == ten.params);
        CHECK(without.macs() == ten.macs());
        CHECK(without.auxiliary_params == 0);
        CHECK(without.auxiliary_macs == 0);
    }
    CHECK(cost("DARTS_V2", "cifar10").auxiliary_params == 476426);
    CHECK(cost("DARTS_V2", "cifar100").auxiliary_params == 545636);
    CHECK(cost("DARTS_V2", "imagenet").auxiliary_params == 1260776);
    CHECK(cost("NASNet", "cifar10").auxiliary_params == 457994);
    CHECK(cost("NASNet", "cifar100").auxiliary_params == 527204);
    CHECK(cost("AmoebaNet", "imagenet").auxiliary_params == 1236200);
    // 1x1 convolution at four places, 2x2 convolution at one, linear.
    CHECK(cost("DARTS_V2", "imagenet").auxiliary_macs == 4 * 768 * 128 + 393216 + 768000);
    CHECK(cost("DARTS_V2", "cifar10").auxiliary_macs == 4 * 576 * 128 + 393216 + 7680);
    CHECK(cost("DARTS_V2", "cifar100").macs() == cost("DARTS_V2", "cifar10").macs() + 51840);
}

TEST_CASE("outputs of BN and ReLU, depthwise MACs, numbers of BNs") {
    struct Row {
        const char* name;
        std::int64_t batch_norm, relu, depthwise;  // ImageNet; depthwise 0 where no figure is known
        int cifar_norms, imagenet_norms;
    };
    for (const Row& row :
         {Row{"DARTS_V1", 3876096, 5531904, 0, 223, 152}, Row{"DARTS_V2", 4139520, 5795328, 26078976, 241, 164},
          Row{"EvNASA", 4337088, 6416256, 41348160, 255, 178}, Row{"EvNASB", 4544064, 6369216, 56560896, 269, 186},
          Row{"EvNASC", 4045440, 6039936, 43643712, 235, 164},
          Row{"PC_DARTS_cifar", 4271232, 6265728, 38403456, 251, 180},
          Row{"PC_DARTS_image", 4478208, 6472704, 34442688, 265, 188}}) {
        CAPTURE(std::string(row.name));
        const Cost cifar = cost(row.name, "cifar10"), imagenet = cost(row.name, "imagenet");
        CHECK(imagenet.batch_norm_outputs == row.batch_norm);
        CHECK(imagenet.relu_outputs == row.relu);
        if (row.depthwise) CHECK(imagenet.depthwise_macs == row.depthwise);
        CHECK(cifar.batch_norms + cifar.auxiliary_batch_norms == row.cifar_norms);
        CHECK(imagenet.batch_norms + imagenet.auxiliary_batch_norms == row.imagenet_norms);
        CHECK(imagenet.macs(MacConvention::pc_darts) == imagenet.macs() + 2 * row.batch_norm + row.relu);
    }
    // The millions in PC-DARTS's and EvNAS's tables.
    CHECK((cost("PC_DARTS_cifar", "imagenet").macs(mac_convention("pc_darts")) + 500000) / 1000000 == 586);
    CHECK((cost("PC_DARTS_image", "imagenet").macs(mac_convention("pc_darts")) + 500000) / 1000000 == 597);
    CHECK((cost("EvNASA", "imagenet").macs(mac_convention("conv")) + 500000) / 1000000 == 570);
    CHECK_THROWS_AS(mac_convention("flops"), Error);
}

TEST_CASE("DARTS_V2 cell by cell") {
    using List = std::vector<std::int64_t>;
    const Genotype v2 = published_genotype("DARTS_V2");
    const Net cifar = evaluation_net(evaluation_config("cifar10"), v2);
    CHECK(cell_params(cifar) == List{26532,  27828,  29124,  29124, 29124,  29124,  21024,  97128,  107496, 107496,
                                     107496, 107496, 107496, 83520, 370512, 411984, 411984, 411984, 411984, 411984});
    const List cifar_macs = {26210304, 27537408, 28864512, 28864512, 28864512, 28864512, 21233664,
                             24385536, 27039744, 27039744, 27039744, 27039744, 27039744, 21233664,
                             23473152, 26127360, 26127360, 26127360, 26127360, 26127360};
    for (std::size_t i = 0; i < cifar_macs.size(); ++i) {
        CHECK(cost_of_cell(cifar, static_cast<int>(i)).conv_macs == cifar_macs[i]);
    }
    const Net imagenet = evaluation_net(evaluation_config("imagenet"), v2);
    CHECK(cell_params(imagenet) == List{35952, 42864, 49776, 49776, 37248, 168672, 187104, 187104, 187104, 148224,
                                        650688, 724416, 724416, 724416});
    const List imagenet_macs = {27207936, 32626944, 38045952, 38045952, 28901376, 32570496, 36183168,
                                36183168, 36183168, 28901376, 31639104, 35251776, 35251776, 35251776};
    for (std::size_t i = 0; i < imagenet_macs.size(); ++i) {
        CHECK(cost_of_cell(imagenet, static_cast<int>(i)).conv_macs == imagenet_macs[i]);
    }
    CHECK(part_params(cifar, Part::stem) == 29 * 3 * 36);
    CHECK(part_params(imagenet, Part::stem) == 27 * 24 + 48 + 9 * 24 * 48 + 96 + 9 * 48 * 48 + 96);
    NetConfig small = {.channels = 8, .layers = 6};
    CHECK(parameter_count(evaluation_net(small, v2)) + 128 * 128 + 256 + 393216 + 1536 + 7690 == 458380);
    small.auxiliary = true;
    CHECK(parameter_count(evaluation_net(small, v2)) == 458380);
}

TEST_CASE("search networks") {
    using List = std::vector<std::int64_t>;
    const Net ten = search_net(search_config("cifar10"));
    CHECK(parameter_count(ten) == 1930618);
    CHECK(cell_params(ten) == List{45888, 46144, 144000, 137856, 139904, 484608, 460032, 468224});
    CHECK(part_params(ten, Part::stem) == 1392);
    CHECK(part_params(ten, Part::head) == 2570);
    CHECK(cost_of(ten).conv_macs == 300253184);
    CHECK(parameter_count(search_net(search_config("cifar100"))) == 1953748);
    CHECK(parameter_count(search_net({.channels = 4, .layers = 5})) == 136182);
    // (C_pp + C_p) C + 14 (102 c + 6 c^2), and 8 c^2 in reduction cells, for any C, L and K.
    for (const auto& [channels, layers, partial] : {std::array{4, 5, 1}, {16, 8, 2}, {24, 11, 3}, {8, 2, 1}}) {
        const Net net = search_net({.channels = channels, .layers = layers}, {.partial = partial});
        for (const Cell& cell : net.cells) {
            const std::int64_t c = cell.channels / partial;
            CHECK(cost_of_cell(net, cell.index).params ==
                  std::int64_t{cell.before_channels + cell.previous_channels} * cell.channels +
                      14 * (102 * c + 6 * c * c) + (cell.reduction ? 8 * c * c : 0));
        }
    }
    const Net partial = search_net(search_config("cifar10"), {.partial = 4});
    CHECK(parameter_count(partial) == 299578);
    CHECK(cell_params(partial) == List{8592, 8848, 21408, 22944, 24992, 62784, 68928, 77120});
    CHECK(cost_of(partial).conv_macs == 56594432);
    CHECK(parameter_count(search_net(search_config("cifar100"), {.partial = 4})) == 322708);
    const Net imagenet = search_net(search_config("imagenet"), {.partial = 2});
    CHECK(parameter_count(imagenet) == 956512);
    CHECK(part_params(imagenet, Part::stem) == 11160 + 20832);
    CHECK(cell_params(imagenet) == List{18336, 18592, 50496, 50496, 52544, 156288, 156288, 164480});
    CHECK(part_params(imagenet, Part::head) == 257000);
    CHECK(cost_of(imagenet).macs() == 144392832);
}

TEST_CASE("what each convention counts of a DARTS network") {
    Cost cost;
    cost.conv_macs = 1000000, cost.linear_macs = 10000, cost.linear_outputs = 100, cost.batch_norm_outputs = 7,
    cost.relu_outputs = 1;
    const auto j = nlohmann::json::parse(macs_json(cost).text());
    CHECK(j.size() == 4);
    CHECK(j.at("mac") == 1010000);
    CHECK(j.at("conv") == 1000000);
    CHECK(j.at("pc_darts") == 1010000 + 2 * 7 + 1);
    CHECK(j.at("thop") == 1000000 + 2 * 10000 - 100);
}
