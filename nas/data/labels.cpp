#include "nas/data/labels.h"

#include "engine/base/error.h"

namespace nascent {

std::vector<std::int64_t> random_labels(NumpyRandom& random, int classes, std::int64_t count, bool one_based) {
    NASCENT_CHECK(classes >= 1, usage, "random labels: {} classes", classes);
    NASCENT_CHECK(count >= 0, usage, "random labels: {} samples", count);
    std::int64_t low = one_based ? 1 : 0;
    std::vector<std::int64_t> labels(static_cast<std::size_t>(count));
    for (std::int64_t& label : labels) label = random.randint(low, low + classes) - low;
    return labels;
}

std::vector<std::int64_t> random_labels(std::uint32_t seed, int classes, std::int64_t count, bool one_based) {
    NumpyRandom random(seed);
    return random_labels(random, classes, count, one_based);
}

}  // namespace nascent
