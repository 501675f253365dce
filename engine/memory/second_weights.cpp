#include "engine/memory/second_weights.h"

namespace nascent {

ConstantRanges::ConstantRanges(ParameterStore& store, std::span<const int> ranges) : store_(store) {
    NASCENT_CHECK(store.constant_.empty(), runtime, "ranges of the store are constant already");
    store.constant_.assign(store.ranges().size(), false);
    for (int r : ranges) store.constant_[static_cast<std::size_t>(r)] = true;
}
ConstantRanges::~ConstantRanges() { store_.constant_.clear(); }

SecondWeights::SecondWeights(ParameterStore& store, std::span<const int> ranges)
    : store_(store), arena_(store.device()), weights_(store.ranges().size(), nullptr) {
    for (int r : ranges) {
        const std::size_t bytes = store.range(r).count * size_of(store.dtype());
        void*& place = weights_[static_cast<std::size_t>(r)];
        place = arena_.allocate(bytes);
        store.device().fill(place, 0, bytes);
    }
    for (const Buffer& b : store.buffers()) {
        buffers_.push_back(arena_.tensor(b.tensor.shape, b.tensor.dtype));
        store.device().fill(buffers_.back().data, 0, buffers_.back().bytes());
    }
}

SecondWeightsScope::SecondWeightsScope(SecondWeights& second, bool buffers) : store_(second.store_) {
    NASCENT_CHECK(store_.weights_instead_.empty(), runtime, "the store has second weights in place already");
    store_.weights_instead_ = {&second.weights_};
    if (buffers) store_.buffers_instead_ = &second.buffers_;
}
SecondWeightsScope::~SecondWeightsScope() {
    store_.weights_instead_.clear();
    store_.buffers_instead_ = nullptr;
}

TwinWeightsScope::TwinWeightsScope(SecondWeights& second)
    : store_(second.store_), gradient_places_(second.weights_.size(), nullptr) {
    NASCENT_CHECK(store_.weights_instead_.empty(), runtime, "the store has second weights in place already");
    for (std::size_t r = 0; r < gradient_places_.size(); r++)
        if (second.weights_[r]) gradient_places_[r] = store_.gradient_place(static_cast<int>(r));
    store_.weights_instead_ = {&second.weights_, &gradient_places_};
}
TwinWeightsScope::~TwinWeightsScope() { store_.weights_instead_.clear(); }

CopyScope::CopyScope(ParameterStore& store, int copy) : store_(store) {
    NASCENT_CHECK(store.copy_ < 0 && copy >= 0 && copy < store.copies(), runtime,
                  "copy {} of {} is to be read, copy {} is", copy, store.copies(), store.copy_);
    store.copy_ = copy;
}
CopyScope::~CopyScope() { store_.copy_ = -1; }

}  // namespace nascent
