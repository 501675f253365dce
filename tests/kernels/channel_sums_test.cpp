// Sums of channels, by definition.
#include <algorithm>

#include "tests/kernels/channel_sums_shapes.h"

namespace nascent::test {
namespace {

TEST_CASE_TEMPLATE("sum_channels sums channels of whole and folded states", T, float, double) {
    for (const ChannelSumsCase& c : channel_sums_cases())
        for (const bool accumulate : {false, true}) {
            CAPTURE(c.shape.n);
            CAPTURE(c.shape.pixels);
            CAPTURE(c.shape.fold);
            // Short fractions: every sum is exact. What no result asks for is not-a-number.
            Numbers numbers(6);
            const std::vector<kernels::ChannelSummand> summands = c.summands();
            std::vector<Guarded<T>> in, before;
            int first = 0;
            for (const SummedChannels& s : c.sources) {
                in.push_back(numbers.fractions<T>(c.size(s), 4, 4));
                for (int i = 0; i < s.c; i++, first++) {
                    if (std::any_of(summands.begin(), summands.end(), [&](auto& m) { return m.from == first; }))
                        continue;
                    for (int n = 0; n < c.shape.n; n++)
                        for (int p = 0; p < c.shape.pixels; p++)
                            in.back()[c.at(s, n, p, i)] = std::numeric_limits<T>::quiet_NaN();
                }
            }
            for (const SummedChannels& s : c.results) before.push_back(numbers.fractions<T>(c.size(s), 4, 4));
            for_each_target_and_threads([&](const kernels::Stream& stream) {
                std::vector<Guarded<T>> out = before;
                std::vector<kernels::SummedState<const T>> sources;
                std::vector<kernels::SummedState<T>> results;
                for (std::size_t i = 0; i < in.size(); i++)
                    sources.push_back({in[i].data(), c.sources[i].c, c.pixel(c.sources[i]), c.sources[i].folded});
                for (std::size_t i = 0; i < out.size(); i++)
                    results.push_back({out[i].data(), c.results[i].c, c.pixel(c.results[i]), c.results[i].folded});
                kernels::sum_channels<T>(stream, c.shape, sources, summands, results, accumulate);
                std::vector<Guarded<T>> want = before;
                int to = 0;
                for (std::size_t r = 0; r < out.size(); r++)
                    for (int i = 0; i < c.results[r].c; i++, to++)
                        for (int n = 0; n < c.shape.n; n++)
                            for (int p = 0; p < c.shape.pixels; p++) {
                                T& sum = want[r][c.at(c.results[r], n, p, i)];
                                if (!accumulate) sum = 0;
                                for (const kernels::ChannelSummand& m : summands) {
                                    if (m.to != to) continue;
                                    std::size_t s = 0;
                                    int from = m.from;
                                    while (from >= c.sources[s].c) from -= c.sources[s++].c;
                                    sum += static_cast<T>(m.factor) * in[s][c.at(c.sources[s], n, p, from)];
                                }
                            }
                for (std::size_t r = 0; r < out.size(); r++) {
                    CHECK(out[r].intact());
                    CHECK(out[r].same_bits(want[r]));  // and what lies between pixels is as it was
                }
                return out;
            });
        }
}

}  // namespace
}  // namespace nascent::test
