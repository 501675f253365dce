// A batch's way through a tree of candidates.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/autograd/segments.h"
#include "engine/memory/slots.h"
#include "nas/algo/path_trie.h"

namespace nascent {

/// Depth first: a common prefix is computed once, and of activations there is one for each depth, because ops put their
/// output before all else and what lies behind it is given back.
///
/// With `together` on a CPU of several threads only what candidates begin with is computed by all threads together.
/// Behind that a group of branches is collected, its first nodes computed one after the other, and what is behind them
/// is one thread's work each: threads wait for each other once a group and not at every kernel, and each takes
/// activations of its own. The bits are the same, as kernels' do not depend on the threads.
///
/// On a gpu each depth has a place of its own, so that a piece's calls come again on the same memory and are replayed
/// from captures (engine/autograd/segments.h).
class TrieWalk {
  public:
    struct Options {
        int together = 1;  // branches in a group; 0: four for each thread; 1: none, one candidate after the other
        int shared = 1;    // depths that all threads compute together
        bool capture = true;
    };
    TrieWalk(Device& device, const Options& options);

    /// What there is to do. All may be called by several threads at a time, for different nodes.
    struct Work {
        std::function<Tensor(int node, const Tensor& x)> run;     // a node's piece, in the current execution
        std::function<void(int node, const Tensor& y)> finished;  // at the end of a path
        std::function<bool()> stop;                               // asked between two pieces, by one thread at a time
    };
    /// Forgets the batch before; `input` makes this one in the walk's execution. False where `stop` said so.
    bool walk(const PathTrie& trie, const std::function<Tensor()>& input, const Work& work);
    /// The same along one path of nodes alone.
    bool walk_path(const std::vector<int>& path, const std::function<Tensor()>& input, const Work& work);

    /// Most bytes of activations at a time, of all threads.
    std::size_t high_water() const;
    /// Null where nothing is captured.
    const Segments* segments() const { return segments_.get(); }

  private:
    struct Branch {
        int node;
        Tensor y;
    };
    /// What one of several threads computes with: kernels of its device run on the caller alone.
    struct Lane {
        explicit Lane(const Device& like) : own(make_device("cpu", 1)), arena(*own) {
            own->kernel_options = like.kernel_options;
        }
        std::unique_ptr<Device> own;
        Arena arena;
    };
    Tensor begin(const std::function<Tensor()>& input);
    bool stopped();
    /// In `arena`; `together`: branches may be put off.
    bool go(Arena& arena, int node, int depth, const Tensor& x, bool together);
    bool go_below(Arena& arena, int node, int depth, const Tensor& y, bool together);
    Tensor run_captured(int node, int depth, const Tensor& x);
    bool put_off(int node, const Tensor& x);
    /// What was put off.
    bool finish();

    Device& device_;
    Options options_;
    Arena arena_;
    std::vector<std::unique_ptr<Arena>> kept_;  // a group's first nodes
    std::vector<std::unique_ptr<Lane>> lanes_;  // by thread
    std::vector<Branch> branches_;
    std::unique_ptr<Slots> slots_;
    std::unique_ptr<Segments> segments_;
    const PathTrie* trie_ = nullptr;
    const Work* work_ = nullptr;
    std::mutex stopping_;
    bool stopped_ = false;
};

}  // namespace nascent
