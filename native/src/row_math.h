// Mathematics of one row, written so that the compiler makes vectors of the loops.
#pragma once

#include "kernels.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

namespace {

constexpr int kLanes = 16;        // partial sums, so that every width of vectors adds alike
constexpr float kNothing = -std::numeric_limits<float>::infinity();

INLINE int32_t bits_of(float x) {
    int32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

// exp(x) for x <= 0, to about one unit in the last place; a loop over it becomes vectors. Of NaN it
// is next to nothing: a row that has one is not used.
INLINE float exp_below(float x) {
    x = x > -87.0f ? x : -87.0f;
    // The large number has no places for fractions: what is left of it is a whole number.
    const float n = (x * 1.44269504088896341f + 12582912.0f) - 12582912.0f;
    const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
    float scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

// log(x) for x >= 1, likewise.
INLINE float log_above(float x) {
    int32_t bits = bits_of(x);
    int32_t exponent = (bits >> 23) - 126;
    bits = (bits & 0x007fffff) | 0x3f000000;
    float m;
    std::memcpy(&m, &bits, sizeof m);  // in [0.5, 1)
    const bool small = m < 0.707106781186547524f;
    exponent -= small;
    m = small ? m + m - 1.0f : m - 1.0f;
    const float e = static_cast<float>(exponent), z = m * m;
    float p = 7.0376836292e-2f;
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    return (m + (p * m * z + e * -2.12194440e-4f - 0.5f * z)) + e * 0.693359375f;
}

// Whole numbers in the order of floats, and back: of those a loop finds the largest in vectors.
INLINE int32_t in_order(int32_t bits) { return bits ^ ((bits >> 31) & 0x7fffffff); }

INLINE float largest(const float *values, int64_t count) {
    int32_t found = in_order(bits_of(kNothing));
    for (int64_t i = 0; i < count; ++i) found = std::max(found, in_order(bits_of(values[i])));
    found = in_order(found);
    float value;
    std::memcpy(&value, &found, sizeof value);
    return value;
}

INLINE bool all_finite(const float *values, int64_t count) {
    int32_t size = 0;
    for (int64_t i = 0; i < count; ++i) size = std::max(size, bits_of(values[i]) & 0x7fffffff);
    return size < 0x7f800000;
}

INLINE int64_t first_of(const float *values, int64_t count, float wanted) {
    constexpr int64_t kRun = 64;
    int64_t i = 0;
    for (; i + kRun <= count; i += kRun) {
        int32_t found = 0;
        for (int64_t k = i; k < i + kRun; ++k) found |= values[k] == wanted;
        if (found) break;
    }
    while (values[i] != wanted) ++i;
    return i;
}

// Lanes give the sum one order, and so the same bits, whatever the width of the vectors.
INLINE float sum_exp(const float *row, int64_t classes, float peak) {
    constexpr int64_t kPart = 1024;  // of a hundred thousand classes a float would lose the small
    double total = 0;
    for (int64_t first = 0; first < classes; first += kPart) {
        const int64_t last = std::min(classes, first + kPart);
        float sums[kLanes] = {}, rest[kLanes];
        int64_t c = first;
        for (; c + kLanes <= last; c += kLanes)
            for (int k = 0; k < kLanes; ++k) sums[k] += exp_below(row[c + k] - peak);
        const int left = static_cast<int>(last - c);
        for (int k = 0; k < kLanes; ++k) rest[k] = -87.0f;
        for (int k = 0; k < left; ++k) rest[k] = row[c + k] - peak;
        for (int k = 0; k < kLanes; ++k) rest[k] = exp_below(rest[k]);
        for (int k = 0; k < left; ++k) sums[k] += rest[k];
        for (int k = 0; k < kLanes; ++k) total += sums[k];
    }
    return static_cast<float>(total);
}

}  // namespace
