#include "kernels/target.h"

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels/cpu/dispatch.h"
// dispatch.h first: it says which targets are compiled.
#include <hwy/targets.h>

namespace nascent::kernels {
namespace {

struct Target {
    std::string_view name;
    std::int64_t bit;
};
constexpr Target kTargets[] = {{"avx512", HWY_AVX3}, {"avx2", HWY_AVX2}, {"fallback", HWY_SCALAR | HWY_EMU128}};

bool available(const Target& target) {
    if (target.name == "fallback") return (HWY_TARGETS & target.bit) != 0;  // every machine runs it
    return (HWY_TARGETS & hwy::SupportedTargets() & target.bit) != 0;
}

const Target* current = nullptr;  // set once, before any kernel runs, or by a test

const Target& choose(std::string_view name, const char* who) {
    for (const Target& target : kTargets) {
        if (name.empty() ? !available(target) : target.name != name) continue;
        if (!available(target))
            throw std::invalid_argument(std::string(who) + ": this machine has no " + std::string(name));
        hwy::GetChosenTarget().Update(target.bit);
        return target;
    }
    throw std::invalid_argument(std::string(who) + ": unknown CPU target '" + std::string(name) +
                                "', expected avx512, avx2 or fallback");
}

}  // namespace

void ensure_cpu_target() {
    static const bool once = [] {
        const char* name = std::getenv("NASCENT_CPU_TARGET");
        if (!current) current = &choose(name ? name : "", "NASCENT_CPU_TARGET");
        return true;
    }();
    (void)once;
}

std::vector<std::string_view> cpu_targets() {
    std::vector<std::string_view> names;
    for (const Target& target : kTargets)
        if (available(target)) names.push_back(target.name);
    return names;
}

std::string_view cpu_target() {
    ensure_cpu_target();
    return current->name;
}

void force_cpu_target(std::string_view name) {
    // An empty name would mean the best one; here it is just unknown.
    current = &choose(name.empty() ? "''" : name, "force_cpu_target");
}

}  // namespace nascent::kernels
