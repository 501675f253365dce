#include "nas/supernet/search_net.h"

#include "ops/reference.h"

namespace nascent {

ArchWeights SearchNet::arch_weights(int parameter, int matrix) {
    const Tensor values = store().read(parameter);
    return rule_ ? rule_->weights(values, matrix) : ArchWeights{softmax(values)};
}

Tensor SearchNet::penalised(Tensor loss) {
    for (int p : rule_ ? alphas() : std::vector<int>{})
        if (const Tensor extra = rule_->penalty(store().read(p)); extra.defined()) loss = add(loss, extra);
    return loss;
}

}  // namespace nascent
