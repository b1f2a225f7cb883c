// Taking in what training steps left behind: each sample's loss, margin and verdict from its
// logits, and what is remembered of it. The same as tasks/cross_entropy.py and telemetry/store.py
// do in numpy; where one sum has one order, to the last bit.
#include "kernels.h"
#include "row_math.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr float kLarge = 1e30f;   // averages of saturated rows stay finite
constexpr float kFar = 1e4f;      // a margin beyond this says nothing more about what is usual
constexpr int64_t kFew = 32;      // up to so many classes rows are measured side by side
constexpr int64_t kBlock = 64;    // rows measured at once: their results stay in the cache
constexpr uint16_t kMost = std::numeric_limits<uint16_t>::max();
constexpr int16_t kLong = std::numeric_limits<int16_t>::max();

struct Row {
    int64_t label, predicted;
    float loss, margin;
    bool labelled, usable;
};

// Sixteen rows side by side: with few classes a row alone would not fill a vector.
INLINE void measure_few(const float *logits, int64_t classes, int rows, Row *out) {
    float column[kFew][kLanes], peak[kLanes], other[kLanes], sum[kLanes], of_target[kLanes];
    int32_t label[kLanes], predicted[kLanes], bad[kLanes];
    for (int k = 0; k < kLanes; ++k) {
        const int row = k < rows ? k : 0;
        label[k] = out[row].labelled ? static_cast<int32_t>(out[row].label) : 0;
        for (int64_t c = 0; c < classes; ++c) column[c][k] = logits[row * classes + c];
        peak[k] = kNothing, other[k] = kNothing, of_target[k] = 0, sum[k] = 0;
        predicted[k] = 0, bad[k] = 0;
    }
    for (int32_t c = 0; c < classes; ++c)
        for (int k = 0; k < kLanes; ++k) {
            const float v = column[c][k];
            bad[k] |= (bits_of(v) & 0x7fffffff) >= 0x7f800000;
            predicted[k] = v > peak[k] ? c : predicted[k];
            peak[k] = v > peak[k] ? v : peak[k];
            const bool mine = label[k] == c;
            of_target[k] = mine ? v : of_target[k];
            const float theirs = mine ? kNothing : v;
            other[k] = theirs > other[k] ? theirs : other[k];
        }
    // Of a row with bad numbers nothing is used; below infinity nothing overflows.
    for (int k = 0; k < kLanes; ++k) peak[k] = bad[k] ? -kNothing : peak[k];
    for (int64_t c = 0; c < classes; ++c)
        for (int k = 0; k < kLanes; ++k) sum[k] += exp_below(column[c][k] - peak[k]);
    for (int k = 0; k < kLanes; ++k) sum[k] = log_above(sum[k]);
    for (int k = 0; k < rows; ++k) {
        Row &row = out[k];
        row.usable = row.labelled && !bad[k];
        row.predicted = predicted[k];
        const float target = of_target[k] - peak[k];
        row.loss = std::min(sum[k] - target, kLarge);
        row.margin = std::min(std::max(target - (other[k] - peak[k]), -kLarge), kLarge);
    }
}

INLINE void measure_one(const float *logits, int64_t classes, Row &row) {
    row.usable = row.labelled && all_finite(logits, classes);
    if (!row.usable) return;
    const float peak = largest(logits, classes);
    row.predicted = first_of(logits, classes, peak);
    const float target = logits[row.label] - peak;
    float other = peak;
    if (target == 0)  // only where the class itself has the largest is there more to look at
        other = std::max(largest(logits, row.label),
                         largest(logits + row.label + 1, classes - row.label - 1));
    other -= peak;
    row.loss = std::min(log_above(sum_exp(logits, classes, peak)) - target, kLarge);
    row.margin = std::min(std::max(target - other, -kLarge), kLarge);
}

// Rows whose logits are not all finite, or whose label is no class, are not usable.
WIDE void measure(const float *logits, const int64_t *labels, const float *losses, int64_t count,
                  int64_t classes, Row *out) {
    for (int64_t i = 0; i < count; ++i) {
        out[i].label = labels[i];
        out[i].labelled = labels[i] >= 0 && labels[i] < classes;
    }
    if (classes <= kFew)
        for (int64_t i = 0; i < count; i += kLanes)
            measure_few(logits + i * classes, classes,
                        static_cast<int>(std::min<int64_t>(kLanes, count - i)), out + i);
    else
        for (int64_t i = 0; i < count; ++i) measure_one(logits + i * classes, classes, out[i]);
    if (losses)
        for (int64_t i = 0; i < count; ++i) {
            out[i].loss = losses[i];
            out[i].usable = out[i].usable && std::isfinite(losses[i]);
        }
}

class Store {
  public:
    Store(Table<float> averages, Table<float> means, Table<uint16_t> counts, Table<int32_t> newest,
          Vector<int16_t> streak, Vector<bool> correct, int64_t classes, float slow, float fast)
        : averages_(std::move(averages)), means_(std::move(means)), counts_(std::move(counts)),
          newest_(std::move(newest)), streak_(std::move(streak)), correct_(std::move(correct)),
          samples_(static_cast<int64_t>(streak_.shape(0))), classes_(classes), slow_(slow),
          fast_(fast), seen_in_(static_cast<size_t>(samples_), 0) {
        const auto rows = streak_.shape(0);
        if (averages_.shape(0) != rows || averages_.shape(1) != 4 || means_.shape(0) != rows ||
            means_.shape(1) != 2 || counts_.shape(0) != rows || counts_.shape(1) != 4 ||
            newest_.shape(0) != rows || newest_.shape(1) != 4 || correct_.shape(0) != rows)
            throw std::invalid_argument("the store's tables do not fit together");
        if (classes < 0) throw std::invalid_argument("classes must not be negative");
    }

    // Means over each batch and the history of all rows; see the docstring below.
    void take(const Vector<const int64_t> &rows, const Table<const float> &logits,
              const Vector<const int64_t> &labels, const std::optional<Vector<const float>> &given,
              const Vector<const int32_t> &steps, const Vector<const int64_t> &lengths,
              const Table<double> &stats, const Table<float> &history,
              const Vector<uint32_t> &times) {
        if (static_cast<int64_t>(logits.shape(1)) != classes_ || logits.shape(0) != rows.shape(0))
            throw std::invalid_argument("logits must be (rows, classes)");
        if (labels.shape(0) != rows.shape(0) || (given && given->shape(0) != rows.shape(0)))
            throw std::invalid_argument("labels and losses must be (rows,)");
        check(rows, steps, lengths, stats, history, times);
        const float *scores = logits.data();
        const int64_t *wanted = labels.data();
        const float *losses = given ? given->data() : nullptr;
        nb::gil_scoped_release release;
        std::lock_guard<std::mutex> alone(mutex_);
        prepare(lengths);
        run(rows.data(), steps.data(), lengths, stats, [&](int64_t i, int64_t count, Row *out) {
            measure(scores + i * classes_, wanted + i, losses ? losses + i : nullptr, count,
                    classes_, out);
        });
        tell(rows, history, times);
    }

    // The same where each sample's loss, margin and verdict are known already.
    void take_measured(const Vector<const int64_t> &rows, const Vector<const float> &loss,
                       const Vector<const float> &margin, const Vector<const int64_t> &predicted,
                       const Vector<const int64_t> &labels, const Vector<const bool> &usable,
                       const Vector<const bool> &labelled, const Vector<const int32_t> &steps,
                       const Vector<const int64_t> &lengths, const Table<double> &stats,
                       const Table<float> &history, const Vector<uint32_t> &times) {
        const auto count = rows.shape(0);
        if (loss.shape(0) != count || margin.shape(0) != count || predicted.shape(0) != count ||
            labels.shape(0) != count || usable.shape(0) != count || labelled.shape(0) != count)
            throw std::invalid_argument("all that is known of the rows must be (rows,)");
        check(rows, steps, lengths, stats, history, times);
        nb::gil_scoped_release release;
        std::lock_guard<std::mutex> alone(mutex_);
        prepare(lengths);
        run(rows.data(), steps.data(), lengths, stats, [&](int64_t i, int64_t count, Row *out) {
            for (int64_t k = i; k < i + count; ++k)
                out[k - i] = {labels.data()[k], predicted.data()[k], loss.data()[k],
                              margin.data()[k], labelled.data()[k],  usable.data()[k]};
        });
        tell(rows, history, times);
    }

  private:
    void check(const Vector<const int64_t> &rows, const Vector<const int32_t> &steps,
               const Vector<const int64_t> &lengths, const Table<double> &stats,
               const Table<float> &history, const Vector<uint32_t> &times) const {
        const int64_t count = static_cast<int64_t>(rows.shape(0));
        for (int64_t i = 0; i < count; ++i)
            if (rows.data()[i] < 0 || rows.data()[i] >= samples_)
                throw nb::index_error(("sample " + std::to_string(rows.data()[i]) +
                                       " is not in the store, which has 0 to " +
                                       std::to_string(samples_ - 1)).c_str());
        int64_t total = 0;
        for (size_t b = 0; b < lengths.shape(0); ++b) {
            if (lengths.data()[b] < 0 || lengths.data()[b] > count - total)
                throw std::invalid_argument("lengths do not fit the rows");
            total += lengths.data()[b];
        }
        if (total != count || steps.shape(0) != lengths.shape(0) ||
            stats.shape(0) != lengths.shape(0) || stats.shape(1) != 6)
            throw std::invalid_argument("lengths, steps and stats do not fit the rows");
        if (static_cast<int64_t>(history.shape(1)) != count || history.shape(0) != 3 ||
            static_cast<int64_t>(times.shape(0)) != count)
            throw std::invalid_argument("history must be (3, rows) and times (rows,)");
    }

    // Room for the longest batch: where there is none, nothing has been changed yet.
    void prepare(const Vector<const int64_t> &lengths) {
        int64_t longest = 0;
        for (size_t b = 0; b < lengths.shape(0); ++b)
            longest = std::max(longest, lengths.data()[b]);
        last_.reserve(static_cast<size_t>(longest));
        at_.reserve(static_cast<size_t>(longest));
    }

    template <typename Measure>
    void run(const int64_t *rows, const int32_t *steps, const Vector<const int64_t> &lengths,
             const Table<double> &stats, Measure &&measure) {
        int64_t first = 0;
        for (size_t b = 0; b < lengths.shape(0); ++b) {
            const int64_t length = lengths.data()[b];
            // Where a sample comes twice in a batch its last usable row is remembered.
            const bool twice = any_twice(rows + first, length);
            double loss = 0, right = 0, spread = 0;
            int64_t used = 0, labelled = 0;
            last_.clear();
            for (int64_t i = first, at = kBlock; i < first + length; ++i, ++at) {
                if (at == kBlock) {
                    const int64_t count = std::min(kBlock, first + length - i);
                    for (int64_t k = i; k < i + count; ++k) fetch(rows[k]);
                    measure(i, count, block_);
                    at = 0;
                }
                const Row &row = block_[at];
                labelled += row.labelled;
                if (!row.usable) continue;
                const bool correct = row.predicted == row.label;
                used += 1;
                loss += row.loss;
                right += correct;
                spread += std::min(std::fabs(row.margin), kFar);
                if (twice) {
                    last_.push_back(row);
                    seen_in_[static_cast<size_t>(rows[i])] = static_cast<uint32_t>(last_.size());
                    at_.push_back(rows[i]);
                } else {
                    remember(rows[i], row, correct, steps[b]);
                }
            }
            for (size_t k = 0; k < last_.size(); ++k)
                if (seen_in_[static_cast<size_t>(at_[k])] == k + 1)
                    remember(at_[k], last_[k], last_[k].predicted == last_[k].label, steps[b]);
            for (const int64_t row : at_) seen_in_[static_cast<size_t>(row)] = 0;
            at_.clear();
            double *into = stats.data() + 6 * b;
            const double nan = std::numeric_limits<double>::quiet_NaN();
            into[0] = static_cast<double>(used);
            into[1] = used ? loss / static_cast<double>(used) : nan;
            into[2] = used ? right / static_cast<double>(used) : nan;
            into[3] = static_cast<double>(labelled - used);
            into[4] = static_cast<double>(length - labelled);
            into[5] = used ? spread / static_cast<double>(used) : nan;
            first += length;
        }
    }

    // Have a sample's places in the tables brought near: they lie anywhere in memory.
    void fetch(int64_t sample) const {
#if defined(__GNUC__)
        __builtin_prefetch(averages_.data() + 4 * sample, 1);
        __builtin_prefetch(means_.data() + 2 * sample, 1);
        __builtin_prefetch(counts_.data() + 4 * sample, 1);
        __builtin_prefetch(newest_.data() + 4 * sample, 1);
        __builtin_prefetch(streak_.data() + sample, 1);
        __builtin_prefetch(correct_.data() + sample, 1);
#else
        (void)sample;
#endif
    }

    bool any_twice(const int64_t *rows, int64_t length) {
        bool twice = false;
        for (int64_t i = 0; i < length; ++i) {
            uint32_t &mark = seen_in_[static_cast<size_t>(rows[i])];
            twice = twice || mark;
            mark = 1;
        }
        for (int64_t i = 0; i < length; ++i) seen_in_[static_cast<size_t>(rows[i])] = 0;
        return twice;
    }

    void remember(int64_t sample, const Row &row, bool correct, int32_t step) {
        float *average = averages_.data() + 4 * sample, *mean = means_.data() + 2 * sample;
        uint16_t *count = counts_.data() + 4 * sample;
        int32_t *newest = newest_.data() + 4 * sample;
        const bool first = newest[3] == 0;
        // The first sighting is taken whole: an average that starts at zero would call every new
        // sample easy.
        const float slow = first ? 1.0f : slow_, fast = first ? 1.0f : fast_;
        average[0] += slow * (row.loss - average[0]);
        average[1] += fast * (row.loss - average[1]);
        average[2] += slow * (row.margin - average[2]);
        average[3] += fast * (row.margin - average[3]);
        mean[0] += slow * ((correct ? 0.0f : 1.0f) - mean[0]);
        mean[1] += (1.0f / (static_cast<float>(newest[3]) + 1.0f)) * (row.margin - mean[1]);
        int16_t &streak = streak_.data()[sample];
        if (!first && newest[0] != static_cast<int32_t>(row.predicted) && count[0] < kMost) ++count[0];
        if (streak > 0 && !correct && count[1] < kMost) ++count[1];
        if (correct && count[2] < kMost) ++count[2];
        if (correct && count[3] == 0)
            count[3] = static_cast<uint16_t>(std::min<int64_t>(int64_t{newest[3]} + 1, kMost));
        if ((streak > 0) != correct) streak = 0;
        if (correct && streak < kLong) ++streak;
        if (!correct && streak > -kLong) --streak;
        newest[0] = static_cast<int32_t>(row.predicted);
        newest[1] = static_cast<int32_t>(row.label);
        newest[2] = step;
        newest[3] += 1;
        correct_.data()[sample] = correct;
    }

    void tell(const Vector<const int64_t> &rows, const Table<float> &history,
              const Vector<uint32_t> &times) const {
        const int64_t count = static_cast<int64_t>(rows.shape(0));
        float *fast = history.data(), *slow = fast + count, *mean = slow + count;
        for (int64_t i = 0; i < count; ++i) {
            const int64_t sample = rows.data()[i];
            fast[i] = averages_.data()[4 * sample + 3];
            slow[i] = averages_.data()[4 * sample + 2];
            mean[i] = means_.data()[2 * sample + 1];
            times.data()[i] = static_cast<uint32_t>(newest_.data()[4 * sample + 3]);
        }
    }

    Table<float> averages_, means_;
    Table<uint16_t> counts_;
    Table<int32_t> newest_;
    Vector<int16_t> streak_;
    Vector<bool> correct_;
    int64_t samples_, classes_;
    float slow_, fast_;
    Row block_[kBlock];
    std::vector<uint32_t> seen_in_;  // (N,) marks, all zero between two calls
    std::vector<Row> last_;          // of a batch in which a sample comes twice
    std::vector<int64_t> at_;
    std::mutex mutex_;  // marks and room are shared by all calls
};

}  // namespace

void bind_ingest(nb::module_ &module) {
    nb::class_<Store>(module, "Store",
                      "Writes the tables of `forecast.store.SampleStore`, which stay its own.")
        .def(nb::init<Table<float>, Table<float>, Table<uint16_t>, Table<int32_t>, Vector<int16_t>,
                      Vector<bool>, int64_t, float, float>(),
             nb::arg("averages").noconvert(), nb::arg("means").noconvert(),
             nb::arg("counts").noconvert(), nb::arg("newest").noconvert(),
             nb::arg("streak").noconvert(), nb::arg("correct").noconvert(), nb::arg("classes"),
             nb::arg("slow"), nb::arg("fast"))
        .def("take", &Store::take, nb::arg("rows").noconvert(), nb::arg("logits").noconvert(),
             nb::arg("labels").noconvert(), nb::arg("losses").noconvert().none(),
             nb::arg("steps").noconvert(), nb::arg("lengths").noconvert(),
             nb::arg("stats").noconvert(), nb::arg("history").noconvert(),
             nb::arg("times").noconvert(),
             "Take in batches of `lengths` rows, oldest first; nothing is changed where it raises.\n\n"
             "`stats` (S, 6) float64 is filled with rows used, mean loss, accuracy, rows that were\n"
             "not finite, rows without a label, and the mean size of a margin; `history` (3, R)\n"
             "float32 with the fast, slow and overall mean margin of each row's sample afterwards,\n"
             "`times` (R,) uint32 with how often it was seen.")
        .def("take_measured", &Store::take_measured, nb::arg("rows").noconvert(),
             nb::arg("loss").noconvert(), nb::arg("margin").noconvert(),
             nb::arg("predicted").noconvert(), nb::arg("labels").noconvert(),
             nb::arg("usable").noconvert(), nb::arg("labelled").noconvert(),
             nb::arg("steps").noconvert(), nb::arg("lengths").noconvert(),
             nb::arg("stats").noconvert(), nb::arg("history").noconvert(),
             nb::arg("times").noconvert(),
             "As `take`, where each row's loss, margin and prediction are known.");
}
