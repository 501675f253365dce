// Captured op calls. An op called again with the same parameters on the same memory launches the same kernels with the
// same arguments: from the third time on it is replayed as one graph. The first time it runs as it is, which commits
// the memory it takes; the second time it is captured. Slots (engine/memory/slots.h) make calls come again on the same
// memory.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/autograd/tape.h"

namespace nascent {

class Segments {
  public:
    /// The device must be able to capture. When `limit` segments are held, all are forgotten and begun anew.
    explicit Segments(Device& device, std::size_t limit = 1 << 15);

    /// op.forward(inputs, saved), perhaps from the record; the arena is left as the call leaves it.
    template <class Op>
    Tensor forward(const Op& op, std::span<const Tensor> inputs, std::vector<Tensor>& saved) {
        Segment& s = find(call(op, inputs, {}, {}, {}));
        run(s, [&] {
            s.saved.clear();
            s.value = op.forward(inputs, s.saved);
        });
        saved = s.saved;
        return s.value;
    }
    template <class Op>
    void backward(const Op& op, const Tensor& dy, std::span<Into> into, std::span<const Tensor> inputs,
                  const std::vector<Tensor>& saved) {
        Segment& s = find(call(op, inputs, saved, dy, into));
        run(s, [&] { op.backward(dy, into, inputs, saved); });
    }

    std::size_t size() const { return size_; }
    std::int64_t replays() const { return replays_; }
    /// Kernels, fills and copies in what was replayed.
    std::int64_t replayed_nodes() const { return replayed_nodes_; }

  private:
    /// All that the launches of a call depend on.
    struct Call {
        const void* type;  // one address per op type
        std::shared_ptr<const void> op;
        bool (*same_op)(const void*, const void*);
        std::vector<Tensor> inputs, saved;
        Tensor dy;  // undefined: forward
        std::vector<Into> into;
        const Arena* arena;
        std::size_t mark;
        std::uint64_t hash() const;
        bool operator==(const Call& other) const;
    };
    struct Segment {
        Call call;
        bool ran = false;
        std::unique_ptr<Graph> graph;
        std::size_t end = 0;  // where the call leaves the arena
        Tensor value;
        std::vector<Tensor> saved;
    };

    template <class Op>
    static Call call(const Op& op, std::span<const Tensor> inputs, const std::vector<Tensor>& saved, const Tensor& dy,
                     std::span<const Into> into) {
        static const char type = 0;
        return finish(
            {&type,
             std::make_shared<const Op>(op),
             [](const void* a, const void* b) { return *static_cast<const Op*>(a) == *static_cast<const Op*>(b); },
             {inputs.begin(), inputs.end()},
             saved,
             dy,
             {into.begin(), into.end()},
             nullptr,
             0});
    }
    static Call finish(Call call);
    Segment& find(Call call);
    void run(Segment& segment, const std::function<void()>& work);

    Device& device_;
    std::size_t limit_, size_ = 0;
    std::unordered_map<std::uint64_t, std::vector<std::unique_ptr<Segment>>> segments_;
    std::int64_t replays_ = 0, replayed_nodes_ = 0;
};

}  // namespace nascent
