#include "nas/algo/held_step.h"

#include <algorithm>

#include "ops/copy_tensors.h"

namespace nascent {

void StepReads::begin() {
    arena_.reset();
    kept_.clear();
}

void StepReads::keep(const Kept& tensors) {
    std::vector<Tensor> from, to;
    for (const auto& [what, t] : tensors) {
        from.push_back(t);
        to.push_back(arena_.tensor(t.shape, t.dtype));
        kept_.emplace_back(what, to.back());
    }
    copy_tensors(from, to);
}

void StepReads::read(const Kept& kept) {
    read_.clear();
    if (kept.empty()) return;
    auto* const begin = static_cast<std::byte*>(kept.front().second.data);
    const Tensor& last = kept.back().second;
    host_.resize(static_cast<std::size_t>(static_cast<std::byte*>(last.data) - begin) + last.bytes());
    arena_.device().copy_out(host_.data(), begin, host_.size());
    for (const auto& [what, t] : kept) {
        Tensor here = t;
        here.data = host_.data() + (static_cast<std::byte*>(t.data) - begin);
        read_.emplace_back(what, here);
    }
}

Tensor StepReads::next(Read what) {
    const auto at = std::find_if(read_.begin(), read_.end(), [what](const auto& r) { return r.first == what; });
    NASCENT_CHECK(at != read_.end(), runtime, "a step has not kept its number {}", static_cast<int>(what));
    const Tensor t = at->second;
    read_.erase(at);
    return t;
}

double StepReads::number(Read what) {
    const Tensor t = next(what);
    return with_type(t.dtype, [&](auto zero) { return static_cast<double>(t.as<decltype(zero)>()[0]); });
}

HeldStep::HeldStep(Device& device, DType dtype) : values(device), reads(device) {
    const auto scalar = [&](double value) {
        const Tensor t = values.tensor({1}, dtype);
        with_type(dtype, [&](auto zero) { values.write(t.data, static_cast<decltype(zero)>(value)); });
        return t;
    };
    cotangents = {scalar(1), scalar(-1)};
}

}  // namespace nascent
