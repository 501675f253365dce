#include "engine/autograd/tape.h"

#include "engine/autograd/execution.h"

namespace nascent {

Tape::Tape(Arena& arena, ParameterStore* store, Gradients gradients)
    : arena_(arena), store_(store), gradients_(gradients), slots_(arena) {
    if (!store) return;
    range_at_.assign(store->ranges().size(), -1);
    writes_.assign(store->parameters().size(), 0);
}

void Tape::watch(Tensor& t) {
    t.id = {static_cast<int>(values_.size())};
    values_.push_back({t.shape, t.dtype, true});
}

ValueId Tape::record(const char* name, std::span<const Tensor> inputs, const Tensor& output, Backward backward) {
    Node node{name, {}, static_cast<int>(values_.size()), std::move(backward)};
    for (const Tensor& t : inputs) node.inputs.push_back(t.id);
    void* place = gradients_ == Gradients::fixed ? current_arena().allocate(output.bytes()) : nullptr;
    values_.push_back({output.shape, output.dtype, false, place});
    nodes_.push_back(std::move(node));
    return {nodes_.back().output};
}

Tensor Tape::value_gradient(const Value& v) const { return {v.shape, v.dtype, &arena_.device(), v.grad, {}}; }

Into Tape::into(ValueId id) {
    if (!id.wanted()) return {};
    if (id.is_parameter()) return into_parameter(id.parameter_index());
    Value& v = values_[static_cast<std::size_t>(id.value)];
    if (v.grad) return {value_gradient(v), Write::accumulate};
    const std::size_t bytes = v.shape.size() * size_of(v.dtype);
    v.grad = v.place ? v.place : v.watched ? arena_.allocate(bytes) : slots_.take(bytes);
    return {value_gradient(v), Write::overwrite};
}

Into Tape::into_parameter(int parameter) {
    const auto p = static_cast<std::size_t>(parameter);
    const Parameter& meta = store_->parameters()[p];
    int& at = range_at_[static_cast<std::size_t>(meta.range)];
    if (at < 0) {
        at = static_cast<int>(written_.size());
        const std::size_t bytes = store_->range(meta.range).count * size_of(store_->dtype());
        written_.push_back({meta.range, gradients_ == Gradients::reused ? arena_.allocate(bytes)
                                                                        : store_->gradient_place(meta.range)});
    }
    auto* base = static_cast<std::byte*>(written_[static_cast<std::size_t>(at)].grad);
    Into result{{meta.shape, store_->dtype(), &arena_.device(), base + meta.offset * size_of(store_->dtype()), {}},
                writes_[p] > 0 ? Write::accumulate : Write::overwrite};
    writes_[p]++;
    return result;
}

void Tape::backward(std::span<const Cotangent> from) {
    for (const auto& [y, dy] : from) {
        NASCENT_CHECK(y.id.value >= 0, runtime, "backward: the value is not on the tape");
        NASCENT_CHECK(y.shape == dy.shape && y.dtype == dy.dtype, runtime,
                      "backward: the cotangent is {} {}, the value {} {}", name_of(dy.dtype), dy.shape.text(),
                      name_of(y.dtype), y.shape.text());
        void*& grad = values_[static_cast<std::size_t>(y.id.value)].grad;
        NASCENT_CHECK(!grad, runtime, "backward: a value has two cotangents");
        grad = dy.data;
    }
    std::vector<Into> targets;
    for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) {
        Value& out = values_[static_cast<std::size_t>(node->output)];
        if (!out.grad) continue;  // not on the way to y
        Scope scope("{} backward", node->name);
        targets.clear();
        for (ValueId id : node->inputs) targets.push_back(into(id));
        {
            ScratchScope scratch(arena_);
            node->backward(value_gradient(out), targets);
        }
        slots_.give_back(out.grad);
    }
    check_written();
}

void Tape::check_written() const {
    // An optimizer step walks whole ranges, so a range is written whole or not at all.
    for (const WrittenRange& w : written_) {
        const ParameterRange& r = store_->ranges()[static_cast<std::size_t>(w.range)];
        for (int p = r.first; p < r.first + r.parameters; p++)
            NASCENT_CHECK(writes(p) > 0, runtime, "range '{}' has a gradient, its parameter '{}' has none", r.name,
                          store_->parameters()[static_cast<std::size_t>(p)].name);
    }
}

Tensor Tape::gradient(const Tensor& t) const {
    if (!t.id.wanted()) return {};
    if (!t.id.is_parameter()) {
        const Value& v = values_[static_cast<std::size_t>(t.id.value)];
        return v.grad && v.watched ? value_gradient(v) : Tensor{};
    }
    const auto p = static_cast<std::size_t>(t.id.parameter_index());
    if (writes_[p] == 0) return {};
    const Parameter& meta = store_->parameters()[p];
    const WrittenRange& w = written_[static_cast<std::size_t>(range_at_[static_cast<std::size_t>(meta.range)])];
    return {meta.shape,
            store_->dtype(),
            &arena_.device(),
            static_cast<std::byte*>(w.grad) + meta.offset * size_of(store_->dtype()),
            {}};
}

}  // namespace nascent
