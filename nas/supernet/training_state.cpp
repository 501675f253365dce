#include "nas/supernet/training_state.h"

#include <cstring>

namespace nascent {

TrainingState TrainingState::of(const ParameterStore& store, const Sgd& optimizer, const BatchCounts* counts,
                                const Adam* adam) {
    TrainingState state;
    const SafeDtype dtype = store.dtype() == DType::f64 ? SafeDtype::f64 : SafeDtype::f32;
    auto add = [&](const std::string& name, const void* data, std::size_t count) {
        Blob& b = state.blobs_.emplace_back(Blob{name, dtype, {static_cast<std::int64_t>(count)}, {}});
        b.bytes.resize(count * size_of(store.dtype()));
        store.device().copy_out(b.bytes.data(), data, b.bytes.size());
    };
    auto add_integers = [&](const std::string& name, const std::vector<std::int64_t>& values) {
        Blob& b = state.blobs_.emplace_back(Blob{name, SafeDtype::i64, {static_cast<std::int64_t>(values.size())}, {}});
        b.bytes.resize(values.size() * sizeof(std::int64_t));
        std::memcpy(b.bytes.data(), values.data(), b.bytes.size());
    };
    std::vector<std::int64_t> last_steps;
    for (const ParameterRange& r : store.ranges()) {
        add("weights/" + r.name, r.weights, r.count);
        add("momentum/" + r.name, r.momentum, r.count);
        last_steps.push_back(r.last_step);
    }
    for (const Buffer& b : store.buffers()) add("buffers/" + b.name, b.tensor.data, b.tensor.size());
    add_integers("last_step", last_steps);
    if (counts) {
        std::vector<std::int64_t> numbers;
        for (const auto& c : *counts) numbers.push_back(c.count);
        add_integers("batch_counts", numbers);
    }
    add_integers("step", {optimizer.step_number()});
    if (!adam) return state;
    std::vector<std::int64_t> steps;
    for (std::size_t r = 0; r < store.ranges().size(); r++) {
        if (!adam->has(static_cast<int>(r))) continue;
        const Adam::State& s = adam->state(static_cast<int>(r));
        add("adam_first/" + store.ranges()[r].name, s.first.data, s.first.size());
        add("adam_second/" + store.ranges()[r].name, s.second.data, s.second.size());
        steps.push_back(s.steps);
    }
    add_integers("adam_steps", steps);
    add_integers("adam_step", {adam->step_number()});
    return state;
}

std::vector<SafeTensor> TrainingState::tensors() const {
    std::vector<SafeTensor> views;
    for (const Blob& b : blobs_) views.push_back({b.name, b.dtype, b.shape, b.bytes});
    return views;
}

void TrainingState::restore(const SafeTensors& file, ParameterStore& store, Sgd& optimizer, BatchCounts* counts,
                            Adam* adam) {
    const SafeDtype dtype = store.dtype() == DType::f64 ? SafeDtype::f64 : SafeDtype::f32;
    std::size_t used = 0;
    auto get = [&](const std::string& name, SafeDtype type, std::size_t count) {
        const std::int64_t shape[] = {static_cast<std::int64_t>(count)};
        used++;
        return file.get(name, type, shape).bytes;
    };
    auto integers = [&](const std::string& name, std::size_t count) {
        const std::span<const std::byte> bytes = get(name, SafeDtype::i64, count);
        std::vector<std::int64_t> values(count);
        std::memcpy(values.data(), bytes.data(), bytes.size());
        return values;
    };
    const std::int64_t step = integers("step", 1)[0];
    const std::vector<std::int64_t> last = integers("last_step", store.ranges().size());
    for (std::size_t r = 0; r < last.size(); r++) {
        NASCENT_CHECK(last[r] >= ParameterRange::never && last[r] < step, checkpoint,
                      "{}: range {} was last stepped at {}, the run is at {}", file.path(), r, last[r], step);
        ParameterRange& range = store.range(static_cast<int>(r));
        for (auto [what, to] : {std::pair{"weights/", range.weights}, {"momentum/", range.momentum}}) {
            const auto bytes = get(what + range.name, dtype, range.count);
            store.device().copy_in(to, bytes.data(), bytes.size());
        }
        range.last_step = last[r];
    }
    for (const Buffer& b : store.buffers()) {
        const auto bytes = get("buffers/" + b.name, dtype, b.tensor.size());
        store.device().copy_in(b.tensor.data, bytes.data(), bytes.size());
    }
    if (counts) {
        const std::vector<std::int64_t> numbers = integers("batch_counts", counts->size());
        for (std::size_t i = 0; i < numbers.size(); i++) (*counts)[i].count = numbers[i];
    }
    if (adam) {
        std::vector<int> stepped;
        for (int r = 0; r < static_cast<int>(store.ranges().size()); r++)
            if (adam->has(r)) stepped.push_back(r);
        const std::vector<std::int64_t> steps = integers("adam_steps", stepped.size());
        for (std::size_t i = 0; i < stepped.size(); i++) {
            const Adam::State& s = adam->state(stepped[i]);
            const std::string& name = store.range(stepped[i]).name;
            for (auto [what, to] : {std::pair{"adam_first/", s.first}, {"adam_second/", s.second}}) {
                const auto bytes = get(what + name, dtype, to.size());
                store.device().copy_in(to.data, bytes.data(), bytes.size());
            }
            NASCENT_CHECK(steps[i] >= 0, checkpoint, "{}: {} steps of Adam", file.path(), steps[i]);
            adam->set_steps(stepped[i], steps[i]);
        }
        adam->set_step_number(integers("adam_step", 1)[0]);
    }
    NASCENT_CHECK(used == file.tensors().size(), checkpoint, "{}: {} tensors are not of this network's training state",
                  file.path(), file.tensors().size() - used);
    optimizer.set_step_number(step);
}

}  // namespace nascent
