// From the parameters of a MobileNet supernet to the sums behind its angles.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "nas/metric/chain_angle.h"
#include "nas/metric/chain_cost.h"
#include "nas/space/chain_net.h"

namespace nascent::chain {

/// Sums of a supernet and its initial weights, apart wherever a rule may take one and leave the other.
struct AngleParts {
    AngleSums base_convs, base_norms, classifier_weight, classifier_bias;
    std::vector<std::vector<BottleneckSums>> blocks;  // by block and place in Block::ops; nothing for identities
};

/// `sums(name)`: of the parameter of that name in the state dict, called once for each of the network's. Throws
/// ErrorKind::usage for another network than a supernet of MobileNet blocks whose identities have no weights.
AngleParts angle_parts(const Net& supernet, const std::function<AngleSums(const std::string& name)>& sums);

/// The table of angles and costs. `ops`: the operators that each block still has, empty: all. Throws ErrorKind::usage
/// as choices_of() does.
ChainTable angle_table(const Space& space, const AngleParts& parts, const ChainAngleRules& rules,
                       MacConvention convention = MacConvention::thop, const std::vector<std::vector<int>>& ops = {});

}  // namespace nascent::chain
