// Writing layers of chains one after another.
#pragma once
#include <string>
#include <vector>

#include "nas/space/chain_net.h"

namespace nascent::chain {

/// What flows from layer to layer.
struct Flow {
    int channels, size;
};

/// Appends layers to a list; every method returns what the last of them puts out. Names are those of the modules.
class LayerWriter {
  public:
    LayerWriter(std::vector<Layer>& layers, bool affine) : layers_(layers), affine_(affine) {}

    /// Where the layers that follow belong.
    void at(Part part, int block = -1, int op = -1);
    void at(Branch branch) { branch_ = branch; }

    /// Padding kernel / 2.
    Flow conv(const std::string& name, Flow in, int out, int kernel = 1, int stride = 1, int groups = 1);
    Flow depthwise(const std::string& name, Flow in, int kernel, int stride) {
        return conv(name, in, in.channels, kernel, stride, in.channels);
    }
    Flow norm(const std::string& name, Flow in);
    /// relu, relu6, shuffle, add, dropout: shape for shape.
    Flow same(LayerKind kind, const std::string& name, Flow in, double rate = 0);
    /// A split (half the channels) or concat (`out` channels).
    Flow move(LayerKind kind, const std::string& name, Flow in, int out);
    Flow pool(const std::string& name, Flow in);
    Flow linear(const std::string& name, Flow in, int out, bool bias);

  private:
    Flow add(Layer layer, Flow in, Flow out);

    std::vector<Layer>& layers_;
    bool affine_;
    Part part_ = Part::stem;
    Branch branch_ = Branch::trunk;
    int block_ = -1, op_ = -1;
};

/// The layers of one operator; `name` is its module's.
void write_shuffle_block(LayerWriter& to, const Space& space, const Block& block, const Op& op, int scale,
                         const std::string& name);
void write_mobile_block(LayerWriter& to, const Space& space, const Block& block, const Op& op, const std::string& name);

}  // namespace nascent::chain
