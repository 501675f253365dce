#include "engine/memory/parameter_store.h"

#include <algorithm>

namespace nascent {

int ParameterStore::begin_range(const std::string& name) {
    NASCENT_CHECK(!allocated_, runtime, "range '{}' is added after allocate()", name);
    ranges_.push_back({.name = name, .first = static_cast<int>(parameters_.size())});
    return static_cast<int>(ranges_.size()) - 1;
}

int ParameterStore::add(const std::string& name, const Shape& shape) {
    NASCENT_CHECK(!allocated_ && !ranges_.empty(), runtime, "parameter '{}' is added outside a range", name);
    const int index = static_cast<int>(parameters_.size());
    NASCENT_CHECK(index_.emplace(name, index).second, runtime, "two parameters are named '{}'", name);
    ParameterRange& range = ranges_.back();
    parameters_.push_back({name, shape, range.count, static_cast<int>(ranges_.size()) - 1});
    range.count += shape.size();
    range.parameters++;
    return index;
}

int ParameterStore::add_buffer(const std::string& name, const Shape& shape, double value) {
    Tensor t = arena_.tensor(shape, dtype_);
    with_type(dtype_, [&](auto zero) {
        std::vector<decltype(zero)> host(t.size(), static_cast<decltype(zero)>(value));
        device().copy_in(t.data, host.data(), t.bytes());
    });
    buffers_.push_back({name, t});
    return static_cast<int>(buffers_.size()) - 1;
}

void ParameterStore::allocate() {
    for (ParameterRange& r : ranges_) {
        const std::size_t bytes = r.count * size_of(dtype_);
        for (void** p : {&r.weights, &r.momentum}) {
            *p = arena_.allocate(bytes);
            device().fill(*p, 0, bytes);
        }
    }
    allocated_ = true;
}

void* ParameterStore::gradient_place(int r) {
    if (!range(r).gradient) range(r).gradient = arena_.allocate(range(r).count * size_of(dtype_));
    return range(r).gradient;
}

void* ParameterStore::rounded_place(int r) {
    if (!range(r).rounded) range(r).rounded = arena_.allocate(range(r).count * size_of(DType::bf16));
    return range(r).rounded;
}

int ParameterStore::find(const std::string& name) const {
    auto at = index_.find(name);
    return at == index_.end() ? -1 : at->second;
}

std::size_t ParameterStore::parameter_count() const {
    std::size_t n = 0;
    for (const ParameterRange& r : ranges_) n += r.count;
    return n;
}

Tensor ParameterStore::view(int parameter, void* base) const {
    const Parameter& p = parameters_[static_cast<std::size_t>(parameter)];
    return {p.shape, dtype_, &arena_.device(), static_cast<std::byte*>(base) + p.offset * size_of(dtype_), {}};
}

Tensor ParameterStore::read(int parameter) {
    const int r = parameters_[static_cast<std::size_t>(parameter)].range;
    if (before_read_) before_read_({&r, 1});
    const auto at = static_cast<std::size_t>(r);
    void* instead = nullptr;
    if (!weights_instead_.empty()) {
        instead = (*weights_instead_[static_cast<std::size_t>(std::max(copy_, 0))])[at];
        const std::string& name = parameters_[static_cast<std::size_t>(parameter)].name;
        NASCENT_CHECK(copies() == 1 || copy_ >= 0 || !instead, runtime,
                      "'{}' is read where there are {} copies of the weights, and none is named", name, copies());
        NASCENT_CHECK(copies() == 1 || !instead || (!constant_.empty() && constant_[at]), runtime,
                      "'{}' is read where its gradient would be written over a copy of the weights", name);
    }
    Tensor t = view(parameter, instead ? instead : range(r).weights);
    if (constant_.empty() || !constant_[at]) t.id = ValueId::parameter(parameter);
    if (!instead && !is_rounded_.empty() && is_rounded_[at])
        t.rounded = static_cast<const std::byte*>(range(r).rounded) +
                    parameters_[static_cast<std::size_t>(parameter)].offset * size_of(DType::bf16);
    return t;
}

void ParameterStore::set_rounded(std::span<const int> ranges, bool are) {
    is_rounded_.resize(ranges_.size());
    for (int r : ranges) is_rounded_[static_cast<std::size_t>(r)] = are;
}

void ParameterStore::read_ahead(std::span<const int> parameters) {
    if (before_read_) before_read_(ranges_of(parameters));
}

std::vector<int> ParameterStore::ranges_of(std::span<const int> parameters) const {
    std::vector<int> ranges;
    for (int p : parameters)
        if (p >= 0) ranges.push_back(parameters_[static_cast<std::size_t>(p)].range);
    std::sort(ranges.begin(), ranges.end());
    ranges.erase(std::unique(ranges.begin(), ranges.end()), ranges.end());
    return ranges;
}

Tensor ParameterStore::raw(int parameter) const {
    return view(parameter,
                ranges_[static_cast<std::size_t>(parameters_[static_cast<std::size_t>(parameter)].range)].weights);
}

Tensor ParameterStore::raw_momentum(int parameter) const {
    return view(parameter,
                ranges_[static_cast<std::size_t>(parameters_[static_cast<std::size_t>(parameter)].range)].momentum);
}

}  // namespace nascent
