// What is copied from several places in one launch, or rounded, on the emulator in three orders of the threads.
#include "kernels/copy.h"

#include <limits>

#include "tests/gpu/stored.h"

namespace nascent::test {
namespace {

TEST_CASE("gpu copies of several places") {
    for (std::size_t count : {1, 5, 70}) {
        std::vector<Guarded<unsigned char>> from;
        for (std::size_t i = 0; i < count; i++) {
            // Off and on addresses that 16 bytes are read from; of none, and of more than a block takes.
            Guarded<unsigned char> some(i == 2 ? 5001 : i == 3 ? 0 : 16 * i + i % 2, i % 3);
            for (std::size_t k = 0; k < some.size(); k++) some[k] = static_cast<unsigned char>(31 * i + 7 * k);
            from.push_back(some);
        }
        same_bits_in_every_order([&](bool on_gpu) {
            std::vector<Guarded<unsigned char>> to;
            for (std::size_t i = 0; i < count; i++) to.emplace_back(from[i].size(), i % 5 == 4 ? 1 : i % 3);
            std::vector<kernels::CopyItem> items;
            for (std::size_t i = 0; i < count; i++) items.push_back({to[i].data(), from[i].data(), from[i].size()});
            kernels::copy_list(where(on_gpu), items);
            for (std::size_t i = 0; i < count; i++) CHECK(to[i].same_bits(from[i]));
            return to;
        });
    }
}

TEST_CASE("gpu rounding of several places") {
    for (std::size_t count : {1, 5, 70}) {
        std::vector<Guarded<float>> from;
        for (std::size_t i = 0; i < count; i++) {
            Guarded<float> some = at_skew(Numbers(static_cast<unsigned>(i))
                                              .uniform<float>(i == 2   ? 5001
                                                              : i == 3 ? 0
                                                                       : 8 * i + i % 2),
                                          i % 3 != 1);
            if (some.size() > 8) {
                some[0] = std::numeric_limits<float>::quiet_NaN(), some[1] = -std::numeric_limits<float>::infinity();
                some[2] = 1 + 0x1p-8f, some[3] = 1 + 3 * 0x1p-8f;  // ties
                some[4] = std::numeric_limits<float>::max(), some[5] = std::numeric_limits<float>::denorm_min();
            }
            from.push_back(some);
        }
        same_bits_in_every_order([&](bool on_gpu) {
            std::vector<Bits> to;
            for (std::size_t i = 0; i < count; i++) to.emplace_back(from[i].size(), i % 5 == 4 ? 1 : 0);
            std::vector<kernels::RoundItem> items;
            for (std::size_t i = 0; i < count; i++) items.push_back({elements(to[i]), from[i].data(), from[i].size()});
            kernels::round_list(where(on_gpu), items);
            for (std::size_t i = 0; i < count; i++) CHECK(to[i].same_bits(stored(from[i])));
            return to;
        });
    }
}

}  // namespace
}  // namespace nascent::test
