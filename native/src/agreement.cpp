// How far two maps say the same: the same as attribution/consensus.py does in numpy.
#include "kernels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace {

// A value's place in a map, with a number that is in the order of the values.
struct Place {
    uint32_t key, at;
};

// Places by value: three passes of eleven bits, each of which keeps the order of the one before.
void sort(std::vector<Place> &places, std::vector<Place> &other) {
    for (int shift = 0; shift < 33; shift += 11) {
        std::array<size_t, 2048> first{};
        for (const Place &place : places) ++first[(place.key >> shift) & 2047];
        size_t total = 0;
        for (size_t &count : first) {
            const size_t here = count;
            count = total;
            total += here;
        }
        for (const Place &place : places) other[first[(place.key >> shift) & 2047]++] = place;
        places.swap(other);
    }
}

struct Ranked {
    std::vector<double> rank;  // from 1, ties averaged, less their mean
    std::vector<uint8_t> top;  // the strongest; never those at the minimum
    int64_t tops = 0;
};

// Ranks of the values, and which are the `strongest`; false where a value is not finite.
bool rank(const float *values, size_t count, size_t strongest, std::vector<Place> &places,
          std::vector<Place> &other, Ranked &out) {
    for (size_t i = 0; i < count; ++i) {
        const float value = values[i] + 0.0f;  // minus nothing is nothing
        if (!std::isfinite(value)) return false;
        uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        places[i] = {bits ^ (bits >> 31 ? 0xffffffffu : 0x80000000u), static_cast<uint32_t>(i)};
    }
    sort(places, other);
    const uint32_t least = places.front().key, edge = places[count - strongest].key;
    const double mean = (static_cast<double>(count) + 1) / 2;
    for (size_t first = 0; first < count;) {
        size_t last = first;
        while (last < count && places[last].key == places[first].key) ++last;
        const bool top = places[first].key >= edge && places[first].key > least;
        const double of_all = static_cast<double>(first + last + 1) / 2 - mean;
        for (size_t k = first; k < last; ++k) {
            out.rank[places[k].at] = of_all;
            out.top[places[k].at] = top;
        }
        out.tops += top ? static_cast<int64_t>(last - first) : 0;
        first = last;
    }
    return true;
}

std::optional<std::tuple<double, double>> agreement(const Vector<const float> &a,
                                                    const Vector<const float> &b,
                                                    int64_t strongest) {
    const size_t count = a.shape(0);
    if (b.shape(0) != count || count == 0 || count > 0xffffffffu)
        throw std::invalid_argument("maps must have one length, at least 1");
    if (strongest < 1 || static_cast<size_t>(strongest) > count)
        throw std::invalid_argument("strongest must be from 1 to the length of the maps");
    nb::gil_scoped_release release;
    std::vector<Place> places(count), other(count);
    Ranked x{std::vector<double>(count), std::vector<uint8_t>(count), 0}, y = x;
    const auto most = static_cast<size_t>(strongest);
    if (!rank(a.data(), count, most, places, other, x) ||
        !rank(b.data(), count, most, places, other, y))
        return std::nullopt;
    double xy = 0, xx = 0, yy = 0;
    int64_t both = 0;
    for (size_t i = 0; i < count; ++i) {
        xy += x.rank[i] * y.rank[i];
        xx += x.rank[i] * x.rank[i];
        yy += y.rank[i] * y.rank[i];
        both += x.top[i] & y.top[i];
    }
    const auto larger = static_cast<double>(std::max(x.tops, y.tops));
    const double shared = static_cast<double>(both) / larger;
    const double chance =
        static_cast<double>(std::min(x.tops, y.tops)) / static_cast<double>(count);
    return std::make_tuple(xy / std::sqrt(xx * yy), (shared - chance) / (1 - chance));
}

}  // namespace

void bind_agreement(nb::module_ &module) {
    module.def("agreement", &agreement, nb::arg("a").noconvert(), nb::arg("b").noconvert(),
               nb::arg("strongest"),
               "Spearman's rank correlation of two maps (N,), and the overlap of the `strongest`\n"
               "of each, corrected for chance; None where a value is not finite.\n\n"
               "Neither map may be flat. The interpreter's lock is free meanwhile.");
}
