#include "nas/supernet/darts_angle_table.h"

#include "ops/angle_sums.h"

namespace nascent {

darts::AngleParts angle_parts(const DartsNet& initial, const DartsNet& trained, const Sgd* optimizer) {
    const auto sums = angle_sums(initial.store(), trained.store(), optimizer);
    return darts::angle_parts(trained.net(), [&](const std::string& name) {
        const int p = trained.store().find(name);
        NASCENT_CHECK(p >= 0, runtime, "the network has no parameter '{}'", name);
        const auto& [dot, before, now] = sums[static_cast<std::size_t>(p)];
        return AngleSums{dot, before, now};
    });
}

}  // namespace nascent
