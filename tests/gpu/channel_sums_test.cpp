// The GPU's sums of channels have the CPU's bits.
#include "tests/gpu/check.h"
#include "tests/kernels/channel_sums_shapes.h"

namespace nascent::test {
namespace {

TEST_CASE_TEMPLATE("gpu sum_channels", T, float, double) {
    for (const ChannelSumsCase& c : channel_sums_cases())
        for (const bool accumulate : {false, true}) {
            CAPTURE(c.shape.fold);
            Numbers numbers(44);
            std::vector<Guarded<T>> in, before;
            for (const SummedChannels& s : c.sources) in.push_back(numbers.uniform<T>(c.size(s)));
            for (const SummedChannels& s : c.results) before.push_back(numbers.uniform<T>(c.size(s)));
            same_bits_in_every_order([&](bool on_gpu) {
                std::vector<Guarded<T>> out = before;
                std::vector<kernels::SummedState<const T>> sources;
                std::vector<kernels::SummedState<T>> results;
                for (std::size_t i = 0; i < in.size(); i++)
                    sources.push_back({in[i].data(), c.sources[i].c, c.pixel(c.sources[i]), c.sources[i].folded});
                for (std::size_t i = 0; i < out.size(); i++)
                    results.push_back({out[i].data(), c.results[i].c, c.pixel(c.results[i]), c.results[i].folded});
                kernels::sum_channels<T>(where(on_gpu), c.shape, sources, c.summands(), results, accumulate);
                return out;
            });
        }
}

}  // namespace
}  // namespace nascent::test
