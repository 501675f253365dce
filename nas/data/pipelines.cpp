// The published pipelines by name.
#include <array>
#include <string_view>

#include "engine/base/error.h"
#include "nas/data/file.h"
#include "nas/data/transform.h"
#include "nas/space/nearest_name.h"

namespace nascent {
namespace {
constexpr ColourJitter spos_jitter{0.4, 0.4, 0.4, 0};

/// AngleNAS's and RLNAS's square crops with lighting.
PicturePipeline angle_pipeline(bool anglenas) {
    PicturePipeline p;
    p.train.crop = CropRule::square;
    p.train.resize = Resampling::opencv;
    p.train.lighting = 0.1;
    p.train.lighting_reversed = anglenas;
    p.evaluation = {256, 224, Resampling::opencv, true};
    p.format.bgr = anglenas;
    p.format.scale = anglenas ? PixelFormat::Scale::bytes : PixelFormat::Scale::unit;
    return p;
}

PicturePipeline mmrazor_pipeline(bool mobilenet) {
    PicturePipeline p;
    p.train.resize = Resampling::opencv;
    p.train.jitter = spos_jitter;
    p.evaluation = {256, 224, Resampling::opencv, false};
    p.format.bgr = mobilenet;
    if (mobilenet) p.format.scale = PixelFormat::Scale::bytes;
    p.orientation = true;
    return p;
}

constexpr std::array<std::string_view, 7> names = {"spos",  "mmrazor-shufflenet", "mmrazor-mobilenet", "anglenas",
                                                   "rlnas", "imagenet",           "darts-imagenet"};
}  // namespace

std::span<const std::string_view> picture_pipeline_names() { return names; }

PicturePipeline picture_pipeline(const std::string& name) {
    if (name == "mmrazor-shufflenet") return mmrazor_pipeline(false);
    if (name == "mmrazor-mobilenet") return mmrazor_pipeline(true);
    if (name == "anglenas") return angle_pipeline(true);
    if (name == "rlnas") return angle_pipeline(false);
    PicturePipeline p;
    if (name == "imagenet") return p;
    if (name == "darts-imagenet") {
        p.train.jitter = {0.4, 0.4, 0.4, 0.2};
        return p;
    }
    if (name == "spos") {
        p.train.jitter = spos_jitter;
        p.evaluation = {256, 224, Resampling::opencv, true};
        p.format.bgr = true;
        p.format.scale = PixelFormat::Scale::bytes;
        return p;
    }
    fail(ErrorKind::usage, "picture pipeline '{}' is unknown, did you mean '{}'? (known: {})", name,
         nearest_name(name, names), join_names(names));
}

PicturePipeline at_size(PicturePipeline p, int side) {
    if (side == 0) return p;
    EvaluationTransform& e = p.evaluation;
    e.resize = (e.resize * side + e.crop / 2) / e.crop;
    e.crop = p.train.size = side;
    return p;
}

void check_pipeline(const PicturePipeline& p) {
    const TrainTransform& t = p.train;
    const EvaluationTransform& e = p.evaluation;
    NASCENT_CHECK(t.size >= 1 && t.size <= 4096, usage, "pictures of {}x{} for training, expected 1..4096", t.size,
                  t.size);
    NASCENT_CHECK(e.crop >= 1 && e.crop <= e.resize && e.resize <= 4096, usage,
                  "evaluation crops {} of a shorter side of {}, expected 1 <= crop <= side <= 4096", e.crop, e.resize);
    NASCENT_CHECK(t.least_area > 0 && t.least_area <= t.most_area && t.most_area <= 1, usage,
                  "crops take {}..{} of the area, expected an interval in (0, 1]", t.least_area, t.most_area);
    NASCENT_CHECK(t.least_ratio > 0.01 && t.least_ratio <= t.most_ratio && t.most_ratio < 100, usage,
                  "crops have ratios {}..{}, expected an interval in (0.01, 100)", t.least_ratio, t.most_ratio);
    const ColourJitter& j = t.jitter;
    for (const auto& [name, strength, most] :
         {std::tuple("brightness", j.brightness, 100.0), std::tuple("contrast", j.contrast, 100.0),
          std::tuple("saturation", j.saturation, 100.0), std::tuple("hue", j.hue, 0.5),
          std::tuple("lighting", t.lighting, 100.0), std::tuple("flip", t.flip, 1.0)}) {
        NASCENT_CHECK(strength >= 0 && strength <= most, usage, "{} {}, expected 0..{}", name, strength, most);
    }
}

}  // namespace nascent
