#include "nas/data/normalise.h"

#include <algorithm>
#include <string_view>

#include "engine/base/error.h"
#include "nas/data/file.h"
#include "nas/space/nearest_name.h"

namespace nascent {
namespace {
constexpr std::array<std::string_view, 10> cifar10_names = {"airplane", "automobile", "bird",  "cat",  "deer",
                                                            "dog",      "frog",       "horse", "ship", "truck"};

std::string chosen(const Dataset& set) {
    if (set.name == "synthetic") return "half";
    if (set.name != "folder" && set.name != "pack") return set.name;
    const bool cifar = std::equal(set.class_names.begin(), set.class_names.end(), cifar10_names.begin(),
                                  cifar10_names.end(), [](const auto& a, const auto& b) { return a == b; });
    return cifar ? "cifar10" : "imagenet";
}

Normalisation of_bytes(std::string name, std::array<double, 3> mean, std::array<double, 3> std) {
    for (double& v : mean) v /= 255;
    for (double& v : std) v /= 255;
    return {std::move(name), mean, std};
}
}  // namespace

Normalisation normalisation(const std::string& name, const Dataset& set) {
    static constexpr std::array<std::string_view, 8> names = {
        "auto", "cifar10", "cifar10-darts", "cifar100", "cifar100-drnas", "imagenet16", "imagenet", "half"};
    const std::string which = name == "auto" ? chosen(set) : name;
    if (which == "cifar10") return of_bytes(which, {125.3, 123.0, 113.9}, {63.0, 62.1, 66.7});
    if (which == "cifar10-darts")
        return {which, {0.49139968, 0.48215827, 0.44653124}, {0.24703233, 0.24348505, 0.26158768}};
    if (which == "cifar100") return of_bytes(which, {129.3, 124.1, 112.4}, {68.2, 65.4, 70.4});
    if (which == "cifar100-drnas") return {which, {0.5071, 0.4865, 0.4409}, {0.2673, 0.2564, 0.2762}};
    if (which == "imagenet16") return of_bytes(which, {122.68, 116.66, 104.01}, {63.22, 61.26, 65.09});
    if (which == "imagenet") return {which, {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};
    if (which == "half") return {which, {0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}};
    fail(ErrorKind::usage, "normalisation '{}' is unknown, did you mean '{}'? (known: {})", which,
         nearest_name(which, names), join_names(names));
}

template <class T>
NormalisationTable<T> normalisation_table(const Normalisation& norm) {
    NormalisationTable<T> table;
    for (std::size_t v = 0; v < 256; v++) {
        for (std::size_t c = 0; c < 3; c++) {
            table[v][c] = static_cast<T>((static_cast<double>(v) / 255 - norm.mean[c]) / norm.std[c]);
        }
    }
    return table;
}

template NormalisationTable<float> normalisation_table(const Normalisation&);
template NormalisationTable<double> normalisation_table(const Normalisation&);

}  // namespace nascent
