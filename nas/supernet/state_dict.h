// State dicts: parameters and buffers by their PyTorch names and in PyTorch's layout, as other programs read them.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/io/safetensors.h"
#include "nas/metric/angle.h"
#include "nas/supernet/nasbench201.h"
#include "ops/optim/sgd.h"

namespace nascent {

/// Tensors by name, held as double (exact for float32), convolutions (out, in, k, k).
class StateDict {
  public:
    struct Entry {
        std::vector<std::int64_t> shape;
        std::vector<double> values;
    };
    /// All of the network's parameters, running statistics and num_batches_tracked. With an optimizer, coasting
    /// parameters as they would be now (Sgd::peek); the network itself does not change.
    static StateDict of(const Nb201Supernet& net, const Sgd* optimizer = nullptr);
    /// Reads a file of F32, F64 and I64 tensors; others are an Error(checkpoint).
    static StateDict read(const std::string& path);
    /// Floats in `dtype`, num_batches_tracked as int64.
    void write(const std::string& path, DType dtype, const std::map<std::string, std::string>& metadata) const;
    /// Puts the values into the network. Throws Error(checkpoint) that names `source` and the tensor where one is
    /// missing, has another shape, or is not the network's.
    void load_into(Nb201Supernet& net, const std::string& source) const;
    /// Throws Error(checkpoint) where there is no such tensor.
    const Entry& at(const std::string& name) const;
    const std::map<std::string, Entry>& entries() const { return entries_; }
    /// What a file that was read says of itself.
    const std::map<std::string, std::string>& metadata() const { return metadata_; }
    void set(const std::string& name, Entry entry) { entries_[name] = std::move(entry); }

  private:
    std::map<std::string, Entry> entries_;
    std::map<std::string, std::string> metadata_;
};

/// Calls `f` for each parameter of the store in order, with its elements in the store's type and layout. With an
/// optimizer they are what Sgd::peek() says.
void each_parameter(const ParameterStore& store, const Sgd* optimizer,
                    const std::function<void(int parameter, const std::byte* elements)>& f);

/// Sums over one tensor of both for an angle between them. Throws Error(checkpoint) where it is missing or has another
/// shape than the network's.
AngleSums angle_sums(const StateDict& initial, const StateDict& trained, const std::string& name,
                     const std::vector<std::int64_t>& shape);

/// What a supernet file is of, from its tensors' shapes: channels, cells per stage, classes and style; the input size
/// is not in it and stays at the default. Throws Error(checkpoint) naming `source` where they make no NAS-Bench-201
/// supernet.
struct SupernetShape {
    nb201::NetConfig config;
    nb201::Style style = nb201::kSupernet;
};
SupernetShape supernet_shape(const StateDict& state, const std::string& source);

}  // namespace nascent
