#include "engine/autograd/segments.h"

#include "engine/autograd/execution.h"

namespace nascent {
namespace {

bool same(const std::vector<Into>& a, const std::vector<Into>& b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); i++)
        if (!(a[i].grad == b[i].grad) || a[i].how != b[i].how) return false;
    return true;
}

}  // namespace

Segments::Segments(Device& device, std::size_t limit) : device_(device), limit_(limit) {
    NASCENT_CHECK(device.can_capture(), runtime, "device {} captures nothing", device.name());
}

Segments::Call Segments::finish(Call call) {
    call.arena = &current_arena();
    call.mark = current_arena().mark();
    return call;
}

std::uint64_t Segments::Call::hash() const {
    std::uint64_t h = 0xcbf29ce484222325;
    auto mix = [&h](std::uint64_t v) { h = (h ^ v) * 0x100000001b3 ^ h >> 29; };
    auto address = [&mix](const void* p) { mix(reinterpret_cast<std::uintptr_t>(p)); };
    address(type);
    address(arena);
    mix(mark);
    for (const Tensor& t : inputs) address(t.data);
    address(dy.data);
    for (const Into& i : into) {
        address(i.grad.data);
        mix(i.accumulate());
    }
    return h;
}

bool Segments::Call::operator==(const Call& other) const {
    return type == other.type && arena == other.arena && mark == other.mark && inputs == other.inputs &&
           saved == other.saved && dy == other.dy && same(into, other.into) && same_op(op.get(), other.op.get());
}

Segments::Segment& Segments::find(Call call) {
    const std::uint64_t key = call.hash();
    auto& bucket = segments_[key];
    for (auto& s : bucket)
        if (s->call == call) return *s;
    if (size_ >= limit_) {
        segments_.clear();
        size_ = 0;
    }
    size_++;
    auto s = std::make_unique<Segment>();
    s->call = std::move(call);
    return *segments_[key].emplace_back(std::move(s));
}

void Segments::run(Segment& s, const std::function<void()>& work) {
    Arena& arena = current_arena();
    if (s.graph) {
        arena.take_to(s.end);
        s.graph->launch();
        replays_++;
        replayed_nodes_ += static_cast<std::int64_t>(s.graph->nodes());
        return;
    }
    if (!s.ran) {
        work();
        s.ran = true;
        s.end = arena.mark();
        return;
    }
    CaptureScope capture(device_);
    work();
    s.graph = capture.end();
    NASCENT_CHECK(arena.mark() == s.end, runtime, "a call took other memory than the time before");
    s.graph->launch();
}

}  // namespace nascent
