// Copies of a network side by side in a batch, each with weights of its own (engine/memory/second_weights.h): what has
// weights and is no op of several copies runs for one after the other.
#pragma once
#include <vector>

#include "engine/memory/second_weights.h"
#include "ops/reference.h"

namespace nascent {

/// f(x, copy) of each copy, x its pictures of `all`, (copies * n, ...); read()s are that copy's.
template <class F>
std::vector<Tensor> for_copies(ParameterStore& store, const Tensor& all, F&& f) {
    const int copies = store.copies();
    if (copies == 1) return {f(all, 0)};
    std::vector<Tensor> each;
    const int n = static_cast<int>(all.shape[0]) / copies;
    for (int copy = 0; copy < copies; copy++) {
        const CopyScope reading(store, copy);
        each.push_back(f(slice_pictures(all, copy * n, n), copy));
    }
    return each;
}

/// f(copy) of each copy, one after another in the batch; read()s are that copy's.
template <class F>
Tensor stack_copies(ParameterStore& store, F&& f) {
    if (store.copies() == 1) return f(0);
    std::vector<Tensor> each;
    for (int copy = 0; copy < store.copies(); copy++) {
        const CopyScope reading(store, copy);
        each.push_back(f(copy));
    }
    return stack(each);
}

}  // namespace nascent
