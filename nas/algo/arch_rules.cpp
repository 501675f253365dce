#include "nas/algo/arch_rules.h"

#include <algorithm>

namespace nascent {

double Temperature::at(std::int64_t epoch) const {
    const double e = static_cast<double>(epoch), n = epochs;
    const double gone = way == Way::to_end ? e / std::max(1.0, n - 1) : (way == Way::before ? e + 1 : e) / n;
    return first - (first - last) * std::min(1.0, gone);
}

std::unique_ptr<ArchRule> make_arch_rule(const ArchRuleOptions& options) {
    switch (options.algo) {
        case Algo::drnas:
            return make_drnas(options);
        case Algo::gdas:
            return make_gdas(options);
        case Algo::snas:
            return make_snas(options);
        case Algo::rsps:
            return make_rsps(options);
        case Algo::darts:
            break;
    }
    return nullptr;
}

}  // namespace nascent
