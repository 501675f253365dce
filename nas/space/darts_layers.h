// The modules of DARTS networks, layer by layer.
#pragma once
#include <string>
#include <vector>

#include "nas/space/darts_net.h"

namespace nascent::darts {

/// What flows from layer to layer.
struct Flow {
    int channels;
    Extent size;
};

/// Where the layers that follow belong.
struct LayerPlace {
    Part part;
    int cell = -1, place = -1, op = -1;
    bool affine = true;  // of batch norms
};

/// Appends layers to a list; every method returns what the last of them puts out. Names are those of the modules.
class LayerWriter {
  public:
    explicit LayerWriter(std::vector<Layer>& layers) : layers_(layers) {}

    void at(const LayerPlace& place) { place_ = place; }

    Flow relu(const std::string& name, Flow in);
    struct Window {
        Extent kernel{1, 1}, stride{1, 1}, padding{0, 0};
        int dilation = 1, groups = 1, skip = 0;
    };
    static Window square(int kernel, int stride, int padding);
    Flow conv(const std::string& name, Flow in, int out, const Window& window);
    Flow norm(const std::string& name, Flow in);
    Flow pool(const std::string& name, LayerKind kind, Flow in, int kernel, int stride, int padding);
    Flow global_pool(const std::string& name, Flow in);
    Flow linear(const std::string& name, Flow in, int out);

    Flow relu_conv_bn(const std::string& name, Flow in, int out);
    /// Throws ErrorKind::usage for odd maps. The second half is the larger one of an odd `out`.
    Flow factorized_reduce(const std::string& name, Flow in, int out);
    /// An operator of the space; `pool_norm` puts a batch norm behind pools.
    Flow op(const std::string& name, Op op, Flow in, int stride, bool pool_norm);

    Flow auxiliary_head(Flow in, const NetConfig& config);

  private:
    Flow depthwise(const std::string& prefix, int first, Flow in, int kernel, int stride, int dilation);
    Flow add(Layer layer, Flow in, Flow out);

    std::vector<Layer>& layers_;
    LayerPlace place_{Part::stem};
};

}  // namespace nascent::darts
