#include "nas/algo/trie_walk.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include "engine/autograd/execution.h"
#include "engine/memory/arena_place.h"
#include "ops/copy.h"

namespace nascent {

namespace {

/// What a piece put out; an identity's is what it was given, wherever that is.
void keep(ArenaPlace& place, const Tensor& x, const Tensor& y) { y.data == x.data ? place.give_back() : place.keep(y); }

}  // namespace

TrieWalk::TrieWalk(Device& device, const Options& options) : device_(device), options_(options), arena_(device) {
    NASCENT_CHECK(options.together >= 0 && options.shared >= 0, usage, "{} candidates together behind {} depths",
                  options.together, options.shared);
    const int threads = device.pool() ? device.pool()->threads() : 1;
    if (options_.together == 0) options_.together = 4 * threads;
    if (threads == 1) options_.together = 1;
    if (options_.together > 1) {
        for (int i = 0; i < options_.together; i++) kept_.push_back(std::make_unique<Arena>(device));
        for (int i = 0; i < threads; i++) lanes_.push_back(std::make_unique<Lane>(device));
    }
    if (!options_.capture || !device.can_capture()) return;
    slots_ = std::make_unique<Slots>(device);
    segments_ = std::make_unique<Segments>(device);
}

std::size_t TrieWalk::high_water() const {
    std::size_t bytes = arena_.high_water() + (slots_ ? slots_->high_water() : 0);
    for (const auto& arena : kept_) bytes += arena->high_water();
    for (const auto& lane : lanes_) bytes += lane->arena.high_water();
    return bytes;
}

bool TrieWalk::stopped() {
    std::lock_guard lock(stopping_);
    stopped_ = stopped_ || work_->stop();
    return stopped_;
}

Tensor TrieWalk::begin(const std::function<Tensor()>& input) {
    arena_.reset();
    if (slots_) slots_->reset();
    branches_.clear();
    stopped_ = false;
    return input();
}

bool TrieWalk::walk(const PathTrie& trie, const std::function<Tensor()>& input, const Work& work) {
    trie_ = &trie;
    work_ = &work;
    ExecutionScope execution(arena_);
    CapturedScope captured(segments_.get(), slots_.get());
    const Tensor x = begin(input);
    const bool together = options_.together > 1;
    for (int root : trie.roots)
        if (!go(arena_, root, 0, x, together)) return false;
    return finish();
}

bool TrieWalk::walk_path(const std::vector<int>& path, const std::function<Tensor()>& input, const Work& work) {
    work_ = &work;
    ExecutionScope execution(arena_);
    CapturedScope captured(segments_.get(), slots_.get());
    Tensor y = begin(input);
    int depth = 0;
    for (int node : path) {
        if (stopped()) return false;
        if (slots_) {
            y = run_captured(node, depth++, y);
            continue;
        }
        ArenaPlace place(arena_);
        const Tensor x = y;
        keep(place, x, y = work.run(node, x));
    }
    work.finished(path.back(), y);
    return true;
}

/// A depth's place is that of the piece there, whichever operator it is.
Tensor TrieWalk::run_captured(int node, int depth, const Tensor& x) {
    slots_->at(static_cast<std::size_t>(depth)).reset();
    return work_->run(node, x);
}

bool TrieWalk::go(Arena& arena, int node, int depth, const Tensor& x, bool together) {
    if (stopped()) return false;
    if (together && depth == options_.shared) return put_off(node, x);
    ArenaPlace place(arena);
    Tensor y;
    if (slots_) {
        y = run_captured(node, depth, x);
    } else {
        keep(place, x, y = work_->run(node, x));
    }
    const bool whole = go_below(arena, node, depth, y, together);
    place.give_back();
    return whole;
}

bool TrieWalk::go_below(Arena& arena, int node, int depth, const Tensor& y, bool together) {
    const std::vector<int>& children = trie_->nodes[static_cast<std::size_t>(node)].children;
    if (children.empty()) work_->finished(node, y);
    return std::all_of(children.begin(), children.end(),
                       [&](int child) { return go(arena, child, depth + 1, y, together); });
}

bool TrieWalk::put_off(int node, const Tensor& x) {
    Arena& kept = *kept_[branches_.size()];
    kept.reset();
    ExecutionScope execution(kept);
    ArenaPlace place(kept);
    Tensor y = work_->run(node, x);
    if (y.data == x.data) {  // an identity's is not its own
        y = empty(x.shape, x.dtype);
        copy_into(y, x);
    }
    place.keep(y);
    branches_.push_back({node, y});
    return branches_.size() < kept_.size() || finish();
}

bool TrieWalk::finish() {
    if (branches_.empty()) return true;
    std::atomic<bool> whole{true};
    device_.pool()->parallel(static_cast<int>(branches_.size()), [&](int i, int worker) {
        Arena& arena = lanes_[static_cast<std::size_t>(worker)]->arena;
        arena.reset();
        ExecutionScope execution(arena);
        const Branch& b = branches_[static_cast<std::size_t>(i)];
        if (!go_below(arena, b.node, options_.shared, b.y, false)) whole = false;
    });
    branches_.clear();
    return whole;
}

}  // namespace nascent
