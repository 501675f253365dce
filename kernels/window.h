// How the windows of a convolution lie on an image.
#pragma once

namespace nascent::kernels {

/// Windows along one axis: tap t of window i lies on pixel i * stride + t * dilation - before. Pixels off the image are
/// zero: `before` of them ahead of it and `after` behind it; of a negative number, as many pixels of the image are left
/// out.
struct WindowAxis {
    int taps, stride = 1, dilation = 1, before = 0, after = 0;
    /// How many windows lie on `size` pixels and their padding; 0 where one does not fit.
    int windows(int size) const {
        const int room = size + before + after - (taps - 1) * dilation - 1;
        return room < 0 ? 0 : room / stride + 1;
    }
    bool operator==(const WindowAxis&) const = default;
};

struct Window {
    WindowAxis h, w;
    bool operator==(const Window&) const = default;
};

/// An odd number of taps, padded so that with stride 1 there are as many windows as pixels.
inline WindowAxis same_axis(int taps, int stride = 1, int dilation = 1) {
    return {taps, stride, dilation, taps / 2 * dilation, taps / 2 * dilation};
}
inline Window same_window(int taps, int stride = 1, int dilation = 1) {
    return {same_axis(taps, stride, dilation), same_axis(taps, stride, dilation)};
}

}  // namespace nascent::kernels
