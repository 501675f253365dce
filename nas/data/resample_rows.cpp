#include "nas/data/resample_rows.h"

#include "nas/data/simd.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nas/data/resample_rows.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace rows {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A pixel and the byte after it as four lanes, or a channel after the other where vectors have one lane.
using Pixel = hn::CappedTag<std::int32_t, 4>;
using PixelBytes = hn::Rebind<std::uint8_t, Pixel>;
using Wide = hn::ScalableTag<std::int32_t>;
using WideBytes = hn::Rebind<std::uint8_t, Wide>;

constexpr std::int32_t half = 1 << 21;

void narrow(const std::uint8_t* line, int origin, const int* ranges, const std::int32_t* weights, int taps, int count,
            std::uint8_t* out) {
    const Pixel d;
    const PixelBytes d8;
    for (int i = 0; i < count; i++, weights += taps, out += 3) {
        const std::uint8_t* p = line + 3 * (ranges[2 * i] - origin);
        const int n = ranges[2 * i + 1];
        for (std::size_t c = 0; c < 3; c += hn::Lanes(d)) {
            auto total = hn::Set(d, half);
            for (int k = 0; k < n; k++) {
                total = hn::Add(total, hn::Mul(hn::PromoteTo(d, hn::LoadU(d8, p + 3 * k + c)), hn::Set(d, weights[k])));
            }
            hn::StoreU(hn::DemoteTo(d8, hn::ShiftRight<22>(total)), d8, out + c);
        }
    }
}

void sum(const std::uint8_t* from, std::size_t stride, const std::int32_t* weights, int taps, std::size_t bytes,
         std::uint8_t* out) {
    const Wide d;
    const WideBytes d8;
    for (std::size_t i = 0; i < bytes; i += hn::Lanes(d)) {
        auto total = hn::Set(d, half);
        const std::uint8_t* p = from + i;
        for (int k = 0; k < taps; k++, p += stride) {
            total = hn::Add(total, hn::Mul(hn::PromoteTo(d, hn::LoadU(d8, p)), hn::Set(d, weights[k])));
        }
        hn::StoreU(hn::DemoteTo(d8, hn::ShiftRight<22>(total)), d8, out + i);
    }
}

void mix_columns(const std::uint8_t* line, int origin, const int* ranges, const std::int32_t* weights, int count,
                 std::int32_t* out) {
    const Pixel d;
    const PixelBytes d8;
    for (int i = 0; i < count; i++, out += 3) {
        const std::uint8_t* p = line + 3 * (ranges[2 * i] - origin);
        for (std::size_t c = 0; c < 3; c += hn::Lanes(d)) {
            const auto left = hn::Mul(hn::PromoteTo(d, hn::LoadU(d8, p + c)), hn::Set(d, weights[2 * i]));
            const auto right = hn::Mul(hn::PromoteTo(d, hn::LoadU(d8, p + 3 + c)), hn::Set(d, weights[2 * i + 1]));
            hn::StoreU(hn::Add(left, right), d, out + c);
        }
    }
}

void mix_rows(const std::int32_t* upper, const std::int32_t* lower, const std::int32_t* weights, std::size_t count,
              std::uint8_t* out) {
    const Wide d;
    const WideBytes d8;
    const auto b0 = hn::Set(d, weights[0]), b1 = hn::Set(d, weights[1]), two = hn::Set(d, 2);
    for (std::size_t i = 0; i < count; i += hn::Lanes(d)) {
        const auto u = hn::ShiftRight<16>(hn::Mul(b0, hn::ShiftRight<4>(hn::LoadU(d, upper + i))));
        const auto l = hn::ShiftRight<16>(hn::Mul(b1, hn::ShiftRight<4>(hn::LoadU(d, lower + i))));
        hn::StoreU(hn::DemoteTo(d8, hn::ShiftRight<2>(hn::Add(hn::Add(u, l), two))), d8, out + i);
    }
}

}  // namespace HWY_NAMESPACE
}  // namespace rows
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::rows {
HWY_EXPORT(narrow);
HWY_EXPORT(sum);
HWY_EXPORT(mix_columns);
HWY_EXPORT(mix_rows);

void narrow(const std::uint8_t* line, int origin, const int* ranges, const std::int32_t* weights, int taps, int count,
            std::uint8_t* out) {
    HWY_DYNAMIC_DISPATCH(narrow)(line, origin, ranges, weights, taps, count, out);
}
void sum(const std::uint8_t* rows, std::size_t stride, const std::int32_t* weights, int taps, std::size_t bytes,
         std::uint8_t* out) {
    HWY_DYNAMIC_DISPATCH(sum)(rows, stride, weights, taps, bytes, out);
}
void mix_columns(const std::uint8_t* line, int origin, const int* ranges, const std::int32_t* weights, int count,
                 std::int32_t* out) {
    HWY_DYNAMIC_DISPATCH(mix_columns)(line, origin, ranges, weights, count, out);
}
void mix_rows(const std::int32_t* upper, const std::int32_t* lower, const std::int32_t* weights, std::size_t count,
              std::uint8_t* out) {
    HWY_DYNAMIC_DISPATCH(mix_rows)(upper, lower, weights, count, out);
}
}  // namespace nascent::rows
#endif
