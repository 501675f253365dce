// What the switches of an angle do: the same weights under every one of them, and how far the rankings move.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/io/json_text.h"
#include "nas/metric/angle.h"
#include "nas/metric/chain_angle.h"
#include "nas/metric/darts_angle.h"

namespace nascent {

/// Angles of a list of architectures under one setting.
struct AngleVariant {
    std::string name;  // the setting, or the switch that differs from the first: "identity none"
    std::vector<double> angles;
};

/// Settings side by side; all against all.
struct AngleComparison {
    std::vector<AngleVariant> variants;
    std::vector<std::vector<double>> tau;  // Kendall's tau-b of two variants' angles; NaN where all angles are equal
    std::vector<double> mean;              // of a variant's angles
    std::vector<int> best;                 // the architecture with the largest
};
/// Throws ErrorKind::usage where variants have different numbers of angles, or fewer than two.
AngleComparison compare(std::vector<AngleVariant> variants);

/// `base`, named `name`, and each of its nine switches the other way, and the three published settings that differ.
AngleComparison compare_switches(const darts::AngleParts& parts, std::span<const darts::Code> codes,
                                 const darts::AngleSwitches& base, const std::string& name);
/// Angles of all 15 625 architectures of NAS-Bench-201: `base`, and each of its three switches the other way.
AngleComparison compare_switches(const Nb201AngleTable& table, const AngleRules& base);
/// Of a chain whose table depends on the rules.
AngleComparison compare_switches(const std::function<ChainTable(const ChainAngleRules&)>& table,
                                 std::span<const std::vector<int>> architectures, const ChainAngleRules& base,
                                 const std::string& name);

/// One line a variant: name, mean angle, tau against the first, the best architecture's number.
std::string to_text(const AngleComparison& comparison);
/// Kendall's tau-b of all against all, variants by their numbers in that list.
std::string tau_text(const AngleComparison& comparison);
JsonObject to_json(const AngleComparison& comparison);

}  // namespace nascent
