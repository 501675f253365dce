// State dicts of networks of chains, by the names of the original modules.
#pragma once
#include "nas/supernet/chain.h"
#include "nas/supernet/state_dict.h"

namespace nascent {

/// Parameters, running statistics and num_batches_tracked in PyTorch's layout. With an optimizer, coasting parameters
/// as they would be now; the network itself does not change.
StateDict state_dict(const ChainNet& net, const Sgd* optimizer = nullptr);

/// Puts the values into the network. Names may begin with `module.`, as DataParallel writes them; num_batches_tracked
/// may be missing. Throws Error(checkpoint) that names `source` and the tensor where one is missing, has another shape,
/// or is not the network's.
void load(ChainNet& net, const StateDict& state, const std::string& source);

}  // namespace nascent
