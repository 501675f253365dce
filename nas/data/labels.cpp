#include "nas/data/labels.h"

#include "engine/base/error.h"

namespace nascent {

std::vector<std::int64_t> random_labels(NumpyRandom& random, int classes, std::int64_t count) {
    NASCENT_CHECK(classes >= 1, usage, "random labels: {} classes", classes);
    NASCENT_CHECK(count >= 0, usage, "random labels: {} samples", count);
    std::vector<std::int64_t> labels(static_cast<std::size_t>(count));
    for (std::int64_t& label : labels) label = random.randint(0, classes);
    return labels;
}

std::vector<std::int64_t> random_labels(std::uint32_t seed, int classes, std::int64_t count) {
    NumpyRandom random(seed);
    return random_labels(random, classes, count);
}

}  // namespace nascent
