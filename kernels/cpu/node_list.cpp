#include "kernels/node_list.h"

namespace nascent::kernels::cpu {

// node.cpp's.
template <class T>
void node_input_gradient(const Stream&, const Image&, const T*, bool, bool, T*, bool);

template <class T>
void hold_gradients(const Stream&) {}
template <class T>
void add_gradients(const Stream&) {}
template <class T>
void forget_gradients(const Stream&) {}

template <class T>
void offer_finish(const Stream&, const double*, const NormFinish<T>&) {}
template <class T>
bool finish_taken(const Stream&) {
    return false;
}
template <class T>
void offer_folds(const Stream&, const double*, std::span<const NormFoldOf<T>>) {}
template <class T>
bool folds_taken(const Stream&) {
    return false;
}

template <class T>
void node_input_gradients(const Stream& stream, const Image& s, const T* dy, std::span<const NodeInput<T>> inputs) {
    for (const NodeInput<T>& i : inputs) cpu::node_input_gradient<T>(stream, s, dy, i.skip, i.pool, i.dx, i.accumulate);
}

#define NASCENT_NODE_LIST(T)                                                                 \
    template void hold_gradients<T>(const Stream&);                                          \
    template void add_gradients<T>(const Stream&);                                           \
    template void forget_gradients<T>(const Stream&);                                        \
    template void offer_finish(const Stream&, const double*, const NormFinish<T>&);          \
    template bool finish_taken<T>(const Stream&);                                            \
    template void offer_folds(const Stream&, const double*, std::span<const NormFoldOf<T>>); \
    template bool folds_taken<T>(const Stream&);                                             \
    template void node_input_gradients(const Stream&, const Image&, const T*, std::span<const NodeInput<T>>);
NASCENT_NODE_LIST(float)
NASCENT_NODE_LIST(double)
#undef NASCENT_NODE_LIST

}  // namespace nascent::kernels::cpu
