// Pictures made here, for tests, demonstrations and timing where no data set is at hand.
//
// A class is a texture: a product of a horizontal and a vertical triangle wave, whose two frequencies are the class. It
// is shown in a patch at a random place with a random phase, on a random background, in a random colour that says
// nothing about the class, under noise. Mirroring keeps the class. Only +, -, *, / and floor are used, so the bits do
// not depend on a mathematical library.
#include <algorithm>
#include <cmath>

#include "engine/base/error.h"
#include "engine/base/rng.h"
#include "engine/base/thread_pool.h"
#include "nas/data/readers.h"

namespace nascent {
namespace {
/// Period 1, from 1 at 0 down to -1 at 1/2 and back.
double wave(double x) {
    x -= std::floor(x);
    return 4 * std::abs(x - 0.5) - 1;
}

/// Frequency k of `steps`, in cycles a pixel: 1/16 ... 3/8, evenly spaced.
double frequency(int k, int steps) { return 1.0 / 16 + (5.0 / 16) * k / std::max(1, steps - 1); }

void draw(std::uint64_t seed, std::uint64_t index, int label, int classes, int side, std::uint8_t* out) {
    int steps = 1;
    while (steps * steps < classes) steps++;
    const double fx = frequency(label % steps, steps), fy = frequency(label / steps, steps);
    std::uint32_t element = 0;
    const auto next = [&] { return Random(seed, RandomStream::synthetic, index, element++); };
    const Random place = next(), phase = next();
    const double cx = side * (0.3 + 0.4 * place.uniform(0)), cy = side * (0.3 + 0.4 * place.uniform(1));
    const double px = phase.uniform(0), py = phase.uniform(1);
    double ground[3], amplitude[3];
    for (int c = 0; c < 3; c++) {
        const Random colour = next();
        ground[c] = 88 + 80 * colour.uniform(0);
        amplitude[c] = (colour.uniform(1) < 0.5 ? -1 : 1) * (30 + 45 * std::abs(2 * colour.uniform(1) - 1));
    }
    const double radius = 0.45 * side;
    for (int y = 0; y < side; y++) {
        const double wy = wave(fy * y + py), dy = (y + 0.5 - cy) / radius;
        for (int x = 0; x < side; x++) {
            const double dx = (x + 0.5 - cx) / radius, r2 = dx * dx + dy * dy;
            const double texture = wave(fx * x + px) * wy / (1 + r2 * r2);
            const Random noise = next();
            for (int c = 0; c < 3; c++) {
                // The sum of a word's four bytes: mean 510, standard deviation 148; scaled to about 15.
                const std::uint32_t w = noise.word(c);
                const int sum = static_cast<int>((w & 255) + (w >> 8 & 255) + (w >> 16 & 255) + (w >> 24));
                const double v = ground[c] + amplitude[c] * texture + (sum - 510) * 0.1;
                *out++ = static_cast<std::uint8_t>(std::clamp(v + 0.5, 0.0, 255.0));
            }
        }
    }
}

Pictures make_split(ThreadPool& pool, const DatasetOptions& options, std::uint64_t first, std::size_t count,
                    int classes, int side) {
    Pictures out{side, side, {}, std::vector<int>(count)};
    reserve_pixels(out, count, "synthetic");
    constexpr std::size_t chunk = 256;
    pool.parallel(static_cast<int>((count + chunk - 1) / chunk), [&](int k, int) {
        options.poll();
        const std::size_t begin = static_cast<std::size_t>(k) * chunk;
        for (std::size_t i = begin; i < std::min(count, begin + chunk); i++) {
            out.labels[i] = static_cast<int>(i % static_cast<std::size_t>(classes));
            draw(options.seed, first + i, out.labels[i], classes, side, &out.pixels[i * out.picture_bytes()]);
        }
    });
    return out;
}
}  // namespace

Dataset make_synthetic(const DatasetOptions& options) {
    const int classes = options.classes == 0 ? 10 : options.classes, side = options.size == 0 ? 32 : options.size;
    NASCENT_CHECK(classes >= 2 && classes <= 1000, usage, "synthetic: {} classes, expected 2..1000", classes);
    NASCENT_CHECK(side >= 8 && side <= 1024, usage, "synthetic: size {}, expected 8..1024", side);
    for (std::size_t count : {options.train_count, options.test_count}) {
        NASCENT_CHECK(count >= 1 && count <= 100'000'000, usage, "synthetic: {} pictures, expected 1..100000000",
                      count);
    }
    Dataset set;
    set.classes = classes;
    for (int i = 0; i < classes; i++) set.class_names.push_back("texture_" + std::to_string(i));
    ThreadPool pool(options.threads);
    set.train = make_split(pool, options, 0, options.train_count, classes, side);
    set.test = make_split(pool, options, std::uint64_t{1} << 32, options.test_count, classes, side);
    return set;
}

}  // namespace nascent
