// Tensor-core products from every lane's fragments. Products are exact in double; the sum of one instruction is rounded
// once. (Hardware aligns and cuts the addends instead: bounds, not bits.)
#include "kernels/simt/emulator.h"

namespace nascent::simt {
namespace {

struct Fragments {
    unsigned a[4], b[2];
};

/// PerWord elements share a 32-bit register; K = 8 PerWord terms.
template <int PerWord, class F>
void mma(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], const char* what, const Place& at, F value) {
    const auto all = gather(~0u, Fragments{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}}, what, at);
    const unsigned group = lane() / 4, member = lane() % 4;
    for (unsigned c = 0; c < 4; c++) {
        const unsigned row = group + c / 2 * 8, column = 2 * member + c % 2;
        double sum = d[c];
        for (unsigned k = 0; k < 8 * PerWord; k++) {
            const unsigned word = k / PerWord, half = word / 4, part = k % PerWord;
            const Fragments &left = all[row % 8 * 4 + word % 4], &right = all[column * 4 + word % 4];
            sum += static_cast<double>(value(left.a[row / 8 + 2 * half], part)) * value(right.b[half], part);
        }
        d[c] = static_cast<float>(sum);
    }
}

}  // namespace

void mma_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], const Place& at) {
    mma<2>(d, a, b, "mma_bf16", at,
           [](unsigned word, unsigned part) { return std::bit_cast<float>(part ? word & 0xffff0000u : word << 16); });
}

void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], const Place& at) {
    // The hardware does not look at the last 13 bits.
    mma<1>(d, a, b, "mma_tf32", at, [](unsigned word, unsigned) { return std::bit_cast<float>(word & ~0x1fffu); });
}

}  // namespace nascent::simt
