// What the files of nas/data with Highway code include first. Their arithmetic is on integers, or on floats without
// fused multiply-adds, so that every target gives the same bits.
#pragma once
#define HWY_DISABLED_TARGETS (HWY_AVX3_DL | HWY_SSE4 | HWY_SSSE3)
