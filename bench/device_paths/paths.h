// A path network's layers, run in three ways: by launches that the host chooses, by kernels that read the path where
// they run, and by a graph with a SWITCH node per layer. An experiment, not part of the engine.
#pragma once
#include <cstddef>
#include <memory>
#include <span>

namespace nascent::bench {

/// Operators of a layer, as NAS-Bench-201's: nothing, the input, 1x1 and 3x3 convolutions after a ReLU, 3x3 averages.
inline constexpr int kOperators = 5;

struct Layers {
    int n, h, w, c;  // of every layer's input and output
    int count;
    float* x[2];           // layer i reads x[i % 2] and writes the other
    const float* weights;  // (count, 10, c, c): the 1x1 convolution's, then the taps of the 3x3 one
    std::size_t size() const { return static_cast<std::size_t>(n) * h * w * c; }
    std::size_t layer_weights() const { return 10 * static_cast<std::size_t>(c) * c; }
};

/// A launch per layer, of the kernel that the path names.
void run_chosen(void* stream, const Layers& layers, std::span<const int> path);
/// A launch per layer, of one kernel that reads path[layer] on the device and branches: the same launches on any path.
void run_reading(void* stream, const Layers& layers, const int* path);

/// One graph: before each layer a kernel sets the layer's condition from path[layer], and a SWITCH node has a body for
/// each operator. Null where there is no such thing: on the emulator, and before CUDA 12.8.
class SwitchGraph {
  public:
    virtual ~SwitchGraph() = default;
    virtual void launch() = 0;
};
std::unique_ptr<SwitchGraph> make_switch_graph(void* stream, const Layers& layers, const int* path);

}  // namespace nascent::bench
