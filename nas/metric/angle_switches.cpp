#include "nas/metric/angle_switches.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "engine/base/error.h"
#include "nas/metric/correlation.h"

namespace nascent {
namespace {

using darts::AngleSwitches;

std::vector<std::pair<std::string, AngleSwitches>> settings_of(const AngleSwitches& base, const std::string& name) {
    std::vector<std::pair<std::string, AngleSwitches>> all = {{name, base}};
    auto other = [&](const std::string& which, auto change) {
        AngleSwitches s = base;
        change(s);
        all.emplace_back(which, s);
    };
    auto flag = [&](const char* which, bool AngleSwitches::*member) {
        other(fmt::format("{} {}", which, base.*member ? "off" : "on"),
              [&](AngleSwitches& s) { s.*member = !(s.*member); });
    };
    const bool every = base.ends == AngleSwitches::Ends::every_node;
    other(every ? "paths to the last node" : "paths to every node",
          [&](AngleSwitches& s) { s.ends = every ? AngleSwitches::Ends::last_node : AngleSwitches::Ends::every_node; });
    const bool eye = base.identity == AngleSwitches::Identity::eye;
    other(eye ? "identity none" : "identity eye",
          [&](AngleSwitches& s) { s.identity = eye ? AngleSwitches::Identity::none : AngleSwitches::Identity::eye; });
    flag("strided skips", &AngleSwitches::strided_skip);
    flag("pools", &AngleSwitches::pool);
    flag("norms of pools", &AngleSwitches::pool_norm);
    flag("norms of operators", &AngleSwitches::op_norms);
    flag("norm of dil_conv twice", &AngleSwitches::dil_norm_twice);
    flag("norms of stem and preprocessing", &AngleSwitches::fixed_norms);
    flag("classifier bias", &AngleSwitches::classifier_bias);
    for (const char* published : {"rlnas-cifar10", "rlnas-imagenet", "anglenas"}) {
        const AngleSwitches s = darts::angle_switches(published);
        if (!(s == base)) all.emplace_back(published, s);
    }
    return all;
}

}  // namespace

AngleComparison compare(std::vector<AngleVariant> variants) {
    AngleComparison c;
    c.variants = std::move(variants);
    for (const AngleVariant& v : c.variants) {
        NASCENT_CHECK(v.angles.size() == c.variants[0].angles.size() && v.angles.size() > 1, usage,
                      "angles to compare: {} of '{}' and {} of '{}'; expected as many, two or more", v.angles.size(),
                      v.name, c.variants[0].angles.size(), c.variants[0].name);
        auto& row = c.tau.emplace_back();
        for (const AngleVariant& w : c.variants)
            row.push_back(w.angles.size() == v.angles.size() ? kendall_tau_b(v.angles, w.angles).value : 0);
        c.mean.push_back(std::accumulate(v.angles.begin(), v.angles.end(), 0.0) / static_cast<double>(v.angles.size()));
        c.best.push_back(rank_descending(v.angles).front());
    }
    return c;
}

AngleComparison compare_switches(const darts::AngleParts& parts, std::span<const darts::Code> codes,
                                 const AngleSwitches& base, const std::string& name) {
    std::vector<AngleVariant> variants;
    for (const auto& [which, switches] : settings_of(base, name)) {
        const darts::Angle angle(parts, switches);
        AngleVariant& v = variants.emplace_back(AngleVariant{which, {}});
        for (const darts::Code& code : codes) v.angles.push_back(angle.angle(code));
    }
    return compare(std::move(variants));
}

AngleComparison compare_switches(const std::function<ChainTable(const ChainAngleRules&)>& table,
                                 std::span<const std::vector<int>> architectures, const ChainAngleRules& base,
                                 const std::string& name) {
    struct Setting {
        std::string name;
        ChainAngleRules rules;
    };
    std::vector<Setting> settings = {{name, base}};
    auto flag = [&](const char* which, bool ChainAngleRules::*member) {
        ChainAngleRules r = base;
        r.*member = !(r.*member);
        settings.push_back(Setting{fmt::format("{} {}", which, base.*member ? "off" : "on"), r});
    };
    const bool eye = base.identity == ChainAngleRules::Identity::eye;
    ChainAngleRules other = base;
    other.identity = eye ? ChainAngleRules::Identity::none : ChainAngleRules::Identity::eye;
    settings.push_back(Setting{eye ? "identity none" : "identity eye", other});
    flag("inner norms", &ChainAngleRules::inner_norms);
    flag("last norm", &ChainAngleRules::last_norm);
    flag("norms of stem and head", &ChainAngleRules::base_norms);
    flag("classifier bias", &ChainAngleRules::classifier_bias);
    for (const auto& [published, rules] :
         {std::pair{"rlnas", ChainAngleRules::rlnas()}, std::pair{"anglenas", ChainAngleRules::anglenas()}}) {
        if (!(rules == base)) settings.push_back(Setting{published, rules});
    }
    std::vector<AngleVariant> variants;
    for (const auto& [which, rules] : settings) {
        const ChainAngle angle(table(rules));
        AngleVariant& v = variants.emplace_back(AngleVariant{which, {}});
        for (const std::vector<int>& arch : architectures) v.angles.push_back(angle.angle(arch));
    }
    return compare(std::move(variants));
}

AngleComparison compare_switches(const Nb201AngleTable& table, const AngleRules& base) {
    const bool eye = base.identity == AngleRules::Identity::eye, zero = base.blocked == AngleRules::Blocked::zero;
    std::vector<AngleVariant> variants;
    auto add = [&](const char* name, const AngleRules& rules) {
        variants.push_back({name, Nb201Angle(table, rules).all_angles()});
    };
    AngleRules pool = base, identity = base, blocked = base;
    pool.pool = !base.pool;
    identity.identity = eye ? AngleRules::Identity::none : AngleRules::Identity::eye;
    blocked.blocked = zero ? AngleRules::Blocked::fixed_only : AngleRules::Blocked::zero;
    add("as configured", base);
    add(base.pool ? "pools off" : "pools on", pool);
    add(eye ? "identity none" : "identity eye", identity);
    add(zero ? "cells without a path: fixed blocks" : "cells without a path: 0", blocked);
    return compare(std::move(variants));
}

std::string tau_text(const AngleComparison& c) {
    std::string text = fmt::format("{:<40}", "tau-b of the angles above");
    for (std::size_t i = 0; i < c.variants.size(); ++i) text += fmt::format(" {:>7}", i + 1);
    text += "\n";
    for (std::size_t i = 0; i < c.variants.size(); ++i) {
        text += fmt::format("{:>3} {:<36}", i + 1, c.variants[i].name);
        for (double tau : c.tau[i]) text += fmt::format(" {:>7.4f}", tau);
        text += "\n";
    }
    return text;
}

std::string to_text(const AngleComparison& c) {
    std::string text = fmt::format("{:<36} {:>10} {:>8} {:>6}\n", "angle", "mean (rad)", "tau-b", "best");
    for (std::size_t i = 0; i < c.variants.size(); ++i)
        text += fmt::format("{:<36} {:>10.6f} {:>8.4f} {:>6}\n", c.variants[i].name, c.mean[i], c.tau[i][0], c.best[i]);
    return text;
}

JsonObject to_json(const AngleComparison& c) {
    JsonObject all;
    for (std::size_t i = 0; i < c.variants.size(); ++i) {
        JsonObject taus;
        for (std::size_t j = 0; j < c.variants.size(); ++j) taus.add(c.variants[j].name, c.tau[i][j]);
        all.add(c.variants[i].name, JsonObject().add("mean", c.mean[i]).add("best", c.best[i]).add("tau_b", taus));
    }
    return all;
}

}  // namespace nascent
