// Resizing of 8-bit pictures in the two conventions that published pipelines use, to the bit.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "nas/data/picture.h"

namespace nascent {

/// pillow: PIL's bilinear, a triangle as wide as the reduction (antialiased), in 22-bit fixed point, columns before
/// rows with 8 bits between (Pillow's Resample.c; checked against 9.4). torchvision resizes PIL pictures with it.
/// opencv: cv2's INTER_LINEAR for 8 bits, two pixels a side whatever the reduction, in 11-bit fixed point; a reduction
/// by 2 in both directions is the mean of 2x2, as there (checked against 4.6).
enum class Resampling { pillow, opencv };

/// `pillow | opencv`; Error(usage) on any other name.
Resampling resampling(const std::string& name);

/// What of the source is resized to the whole output; borders in pixels, not necessarily whole.
struct SourceBox {
    double top = 0, left = 0, bottom = 0, right = 0;
};

/// Keeps its scratch between calls. One thread at a time.
class Resampler {
  public:
    /// Resizes `box` of `from` to height x width and writes what lies in `window` of that, (window.height,
    /// window.width, 3), contiguous. Rows and columns outside are not computed. With the whole of `from` as box and
    /// the whole output as window this is PIL's resize((width, height), BILINEAR) or cv2's resize(..., INTER_LINEAR).
    /// Sizes are at least 1, the box is not empty and lies inside, and so does the window: checked, Error(usage).
    void resize(const PictureView& from, const SourceBox& box, int height, int width, const Region& window,
                Resampling convention, std::uint8_t* to);
    void resize(const PictureView& from, int height, int width, Resampling convention, std::uint8_t* to) {
        resize(from, {0, 0, static_cast<double>(from.height), static_cast<double>(from.width)}, height, width,
               {0, 0, height, width}, convention, to);
    }

  private:
    /// Output i is the sum over k < count of weights[i * width + k] * input[first + k].
    struct Taps {
        struct Range {
            int first, count;
        };
        int width = 0;
        std::vector<Range> ranges;
        std::vector<std::int32_t> weights;
    };
    static void triangle(int size, double begin, double end, int to, int first, int count, Taps& taps);
    static void linear(int size, double begin, double end, int to, int first, int count, bool clamp, Taps& taps);
    void pillow(const PictureView& from, const Region& window, std::uint8_t* to);
    void opencv(const PictureView& from, const Region& window, std::uint8_t* to);

    Taps columns_, rows_;
    std::vector<std::uint8_t> line_;    // one source row, with room to read past its end
    std::vector<std::uint8_t> narrow_;  // (source rows, stride): columns done
    std::vector<std::int32_t> lines_[2];
    std::vector<std::uint8_t> out_;  // one output row, with room to write past its end
};

}  // namespace nascent
