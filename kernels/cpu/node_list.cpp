#include "kernels/node_list.h"

namespace nascent::kernels::cpu {

// norm.cpp's and node.cpp's.
template <class T>
void norm_finish(const Stream&, const NormShape&, const double*, const T*, const T*, T*, T*, double*, double*, T*, T*);
template <class T>
void norm_fold(const Stream&, const NormShape&, const double*, const double*, const double*, const double*, const T*,
               T*, T*, T*, T*, bool, T*, bool);
template <class T>
void node_input_gradient(const Stream&, const Image&, const T*, bool, bool, T*, bool);

void hold_sums(const Stream&) {}
HeldSums take_sums(const Stream&, const double* sums) { return {sums}; }
template <class T>
void hold_gradients(const Stream&) {}
template <class T>
void add_gradients(const Stream&) {}
template <class T>
void forget_gradients(const Stream&) {}

template <class T>
void norms_finish(const Stream& stream, std::span<const NormFinish<T>> norms) {
    for (const NormFinish<T>& n : norms)
        cpu::norm_finish<T>(stream, n.shape, n.sums.partials, n.gamma, n.beta, n.running_mean, n.running_var, n.mean,
                            n.rstd, n.scale, n.shift);
}

template <class T>
void norms_fold(const Stream& stream, const HeldSums& sums, std::span<const NormFoldOf<T>> norms) {
    const double* of_products = sums.partials;
    for (const NormFoldOf<T>& n : norms) {
        of_products += n.shape.channels;
        cpu::norm_fold<T>(stream, n.shape, sums.partials, of_products, n.mean, n.rstd, n.gamma, n.scale, n.slope,
                          n.shift, n.dgamma, n.accumulate_dgamma, n.dbeta, n.accumulate_dbeta);
    }
}

template <class T>
void node_input_gradients(const Stream& stream, const Image& s, const T* dy, std::span<const NodeInput<T>> inputs) {
    for (const NodeInput<T>& i : inputs) cpu::node_input_gradient<T>(stream, s, dy, i.skip, i.pool, i.dx, i.accumulate);
}

#define NASCENT_NODE_LIST(T)                                                                  \
    template void hold_gradients<T>(const Stream&);                                           \
    template void add_gradients<T>(const Stream&);                                            \
    template void forget_gradients<T>(const Stream&);                                         \
    template void norms_finish(const Stream&, std::span<const NormFinish<T>>);                \
    template void norms_fold(const Stream&, const HeldSums&, std::span<const NormFoldOf<T>>); \
    template void node_input_gradients(const Stream&, const Image&, const T*, std::span<const NodeInput<T>>);
NASCENT_NODE_LIST(float)
NASCENT_NODE_LIST(double)
#undef NASCENT_NODE_LIST

}  // namespace nascent::kernels::cpu
