// The rows with the largest scores of those that may be named.
#include "kernels.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

namespace {

struct Entry {
    float score;
    int64_t row;
};

// Better first: the larger score, and of equal ones the smaller index.
bool better(const Entry &a, const Entry &b) {
    return a.score > b.score || (a.score == b.score && a.row < b.row);
}

// Rows in runs whose largest score does not reach the floor are passed over a run at a time.
constexpr int64_t kRun = 256;

WIDE bool any_above(const float *score, int64_t count, float floor) {
    int32_t found = 0;
    for (int64_t i = 0; i < count; ++i) found |= score[i] >= floor;
    return found != 0;
}

int64_t top_rows(const float *score, const uint8_t *flags, uint8_t left_out,
                 const uint8_t *correct, int wanted, int64_t rows, int64_t most, int64_t *out) {
    std::vector<Entry> heap;
    heap.reserve(static_cast<size_t>(most));
    // A sample that was never seen has minus infinity.
    float floor = -std::numeric_limits<float>::max();
    for (int64_t first = 0; first < rows; first += kRun) {
        const int64_t count = std::min(kRun, rows - first);
        if (!any_above(score + first, count, floor)) continue;
        for (int64_t i = first; i < first + count; ++i) {
            if (!(score[i] >= floor) || (flags[i] & left_out)) continue;
            if (correct && (correct[i] != 0) != (wanted != 0)) continue;
            const Entry entry{score[i], i};
            if (static_cast<int64_t>(heap.size()) < most) {
                heap.push_back(entry);
                std::push_heap(heap.begin(), heap.end(), better);
            } else if (better(entry, heap.front())) {
                std::pop_heap(heap.begin(), heap.end(), better);
                heap.back() = entry;
                std::push_heap(heap.begin(), heap.end(), better);
            }
            if (static_cast<int64_t>(heap.size()) == most) floor = heap.front().score;
        }
    }
    std::sort_heap(heap.begin(), heap.end(), better);
    for (size_t k = 0; k < heap.size(); ++k) out[k] = heap[k].row;
    return static_cast<int64_t>(heap.size());
}

int64_t top(const Vector<const float> &score, const Vector<const uint8_t> &flags, uint8_t left_out,
            const std::optional<Vector<const bool>> &correct, bool right,
            const Vector<int64_t> &out) {
    const int64_t rows = static_cast<int64_t>(score.shape(0));
    if (static_cast<int64_t>(flags.shape(0)) != rows ||
        (correct && static_cast<int64_t>(correct->shape(0)) != rows))
        throw std::invalid_argument("score, flags and correct must be of one length");
    const auto *of_correct =
        correct ? reinterpret_cast<const uint8_t *>(correct->data()) : nullptr;
    const int64_t most = static_cast<int64_t>(out.shape(0));
    if (most == 0) return 0;
    nb::gil_scoped_release release;
    return top_rows(score.data(), flags.data(), left_out, of_correct, right, rows, most,
                    out.data());
}

}  // namespace

void bind_top(nb::module_ &module) {
    module.def("top", &top, nb::arg("score").noconvert(), nb::arg("flags").noconvert(),
               nb::arg("left_out"), nb::arg("correct").noconvert().none(), nb::arg("right"),
               nb::arg("out").noconvert(),
               "Fill `out` (K,) int64 with the rows of the largest scores, in order; how many.\n\n"
               "Rows whose `flags` have a bit of `left_out`, whose `correct` is not `right`, or\n"
               "whose score is NaN or minus infinity are passed over. Of equal scores the smaller\n"
               "index comes first. The interpreter's lock is free meanwhile.");
}
