// What becomes of a picture of any size before it is a network's input: for training drawn anew at every access, for
// evaluation always the same.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nas/data/normalise.h"
#include "nas/data/resample.h"

namespace nascent {

/// torchvision: RandomResizedCrop: area a uniform share of the picture's, log of the ratio uniform; ten tries, then the
/// centre, as much of it as the ratios allow. square: AngleNAS's and RLNAS's: side round(sqrt(area)), ten tries; where
/// none fits, the last one with black around the picture, both placed uniformly.
enum class CropRule { torchvision, square };

/// Strengths: factors of brightness, contrast and saturation are uniform in [max(0, 1 - s), 1 + s], the hue's turn in
/// [-s, s] of the circle; the four in an order drawn anew, as torchvision's ColorJitter on PIL pictures. 0: left out.
struct ColourJitter {
    double brightness = 0, contrast = 0, saturation = 0, hue = 0;
    bool any() const { return brightness > 0 || contrast > 0 || saturation > 0 || hue > 0; }
};

struct TrainTransform {
    int size = 224;
    CropRule crop = CropRule::torchvision;
    double least_area = 0.08, most_area = 1;
    double least_ratio = 3.0 / 4, most_ratio = 4.0 / 3;  // width / height; torchvision's crop
    Resampling resize = Resampling::pillow;
    ColourJitter jitter;
    double lighting = 0;             // standard deviation of PCA lighting's alphas; 0: none
    bool lighting_reversed = false;  // R gets B's offset and B R's, as AngleNAS's code does
    double flip = 0.5;               // probability
};

/// Shorter side to `resize`, then the centre crop x crop.
struct EvaluationTransform {
    int resize = 256, crop = 224;
    Resampling convention = Resampling::pillow;
    /// The longer side: to the nearest (SPOS, RLNAS) or cut (torchvision, mmcv).
    bool round_longer = false;
};

struct PixelFormat {
    enum class Scale { bytes, unit, normalised };
    bool bgr = false;
    Scale scale = Scale::normalised;  // 0..255; 0..1; (v / 255 - mean) / std
    Normalisation norm{"imagenet", {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};  // R, G, B
};
/// (256, 3): what a byte becomes in each channel of the output, in the output's order.
template <class T>
NormalisationTable<T> pixel_table(const PixelFormat& format);

/// All that a published pipeline does with ImageNet's pictures.
struct PicturePipeline {
    TrainTransform train;
    EvaluationTransform evaluation;
    PixelFormat format;
    bool orientation = false;  // DecodeOptions::orientation
};

/// `spos | mmrazor-shufflenet | mmrazor-mobilenet | anglenas | rlnas | imagenet | darts-imagenet`: by name what the
/// published code does (`imagenet`: torchvision's usual one; PC-DARTS's search and RLNAS's retraining of MobileNets use
/// it). mmrazor's jitter is OpenCV's in the original and Pillow's here. Throws Error(usage) on any other name.
PicturePipeline picture_pipeline(const std::string& name);
std::span<const std::string_view> picture_pipeline_names();
/// The pipeline for pictures of another side: training crops are resized to it, evaluation crops take the same share of
/// the shorter side as before. 0: as it is.
PicturePipeline at_size(PicturePipeline pipeline, int side);

/// Throws Error(usage) that names the field unless sizes are 1..4096, crop <= resize, areas in (0, 1] and ratios
/// positive and ascending, strengths at least 0 (hue at most 0.5) and the probability in 0..1.
void check_pipeline(const PicturePipeline& pipeline);

/// What one access to one picture draws: pure functions of (seed, access, element), whoever asks. A draw that is not
/// used moves no other.
class PictureDraws {
  public:
    PictureDraws(std::uint64_t seed, std::uint64_t access, std::uint32_t element)
        : seed_(seed), access_(access), element_(element) {}
    /// The part of a height x width picture to take. With CropRule::square it may reach outside.
    Region crop(const TrainTransform& transform, int height, int width) const;
    bool flip(double probability) const;
    /// Brightness 0, contrast 1, saturation 2, hue 3, in the order in which they are applied.
    std::array<int, 4> jitter_order() const;
    /// Uniform in [-1, 1), for change i of those.
    double jitter(int i) const;
    /// Three standard normal numbers (Box and Muller).
    std::array<double, 3> lighting() const;

  private:
    double uniform(std::uint32_t draw) const;  // in [0, 1)
    std::uint64_t seed_, access_;
    std::uint32_t element_;
};

/// The centre crop of the resized picture, and the size it is resized to.
struct EvaluationCrop {
    int height = 0, width = 0;
    Region window;
};
/// Throws Error(data) for a strip whose longer side would pass 10^9.
EvaluationCrop evaluation_crop(const EvaluationTransform& transform, int height, int width);

/// Jitter and lighting as `draws` has them, on (n, 3) RGB bytes.
void vary_colours(const TrainTransform& transform, const PictureDraws& draws, std::span<std::uint8_t> pixels);

}  // namespace nascent
