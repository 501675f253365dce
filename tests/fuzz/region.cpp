#include "nas/data/orientation.h"
#include "nas/data/picture.h"
#include "nas/data/resample.h"
#include "tests/fuzz/harness.h"

// The first six bytes choose a region and the options; the rest is the picture.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nascent;
    constexpr std::size_t choices = 6;
    if (size < choices) return 0;
    const auto share = [&](std::size_t i, int n) { return n * data[i] / 256; };
    return fuzz::expect_error_or_nothing([&] {
        DecodedRegion out;
        const DecodeOptions options{.orientation = data[4] % 2 == 1, .least_side = data[5] / 8};
        decode_region(
            {data + choices, size - choices}, "fuzz", options,
            [&](int height, int width) {
                const int top = share(0, height), left = share(1, width);
                return Region{top, left, 1 + share(2, height - top), 1 + share(3, width - left)};
            },
            out);
        if (out.picture.height > 512 || out.picture.width > 512) return;
        std::vector<std::uint8_t> small(7 * 9 * 3);
        Resampler().resize(view_of(out.picture), {out.top, out.left, out.bottom, out.right}, 7, 9, {0, 0, 7, 9},
                           data[4] % 4 < 2 ? Resampling::pillow : Resampling::opencv, small.data());
    });
}
