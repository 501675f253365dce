#include "ops/rounded_weights.h"

#include "kernels/copy.h"
#include "ops/kernel_stream.h"

namespace nascent {

RoundedWeights::RoundedWeights(ParameterStore& store, std::span<const int> parameters) : store_(store) {
    store.read_ahead(parameters);
    if (activation_type(store.dtype()) != DType::bf16 || store.weights_replaced()) return;
    ranges_ = store.ranges_of(parameters);
    std::vector<kernels::RoundItem> items;
    for (int r : ranges_)
        items.push_back({static_cast<kernels::BFloat16*>(store.rounded_place(r)),
                         static_cast<const float*>(store.range(r).weights), store.range(r).count});
    kernels::round_list(kernel_stream(store.device()), items);
    store.set_rounded(ranges_, true);
}
RoundedWeights::~RoundedWeights() { store_.set_rounded(ranges_, false); }

}  // namespace nascent
