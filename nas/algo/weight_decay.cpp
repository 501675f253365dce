#include "nas/algo/weight_decay.h"

#include "engine/base/error.h"
#include "nas/run/config.h"

namespace nascent {
namespace {

/// (k, k, c_in, c_out), or (k, k, c) of a depthwise one.
bool of_convolution(const Parameter& p) { return p.shape.rank() >= 3; }

bool of_classifier(const Parameter& p) { return p.name.find("classifier.") != std::string::npos; }

}  // namespace

const std::vector<std::string>& weight_decay_names() {
    static const std::vector<std::string> names{"all",      "convolutions", "convolutions-classifier",
                                                "original", "mmrazor",      "anglenas"};
    return names;
}

std::function<bool(const Parameter&)> weight_decay_rule(std::string_view name) {
    if (name == "all") return nullptr;
    if (name == "convolutions") return of_convolution;
    if (name == "original") return [](const Parameter& p) { return p.shape.rank() > 1; };
    if (name == "mmrazor") return [](const Parameter& p) { return p.shape.rank() == 2 || p.shape.rank() == 4; };
    if (name == "convolutions-classifier" || name == "anglenas")
        return [](const Parameter& p) { return of_convolution(p) || of_classifier(p); };
    fail(ErrorKind::usage, "'{}' does not say which weights decay{}", name,
         did_you_mean(std::string(name), weight_decay_names()));
}

}  // namespace nascent
