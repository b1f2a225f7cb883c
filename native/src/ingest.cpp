// Taking in what training steps left behind: each sample's loss, margin and verdict from its
// logits, and what is remembered of it. The same as forecast/measure.py and forecast/store.py do
// in numpy; where one sum has one order, to the last bit.
#include "kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr float kLarge = 1e30f;   // averages of saturated rows stay finite
constexpr float kFar = 1e4f;      // a margin beyond this says nothing more about what is usual
constexpr int kLanes = 16;        // partial sums, so that every width of vectors adds alike
constexpr uint16_t kMost = std::numeric_limits<uint16_t>::max();
constexpr int16_t kLong = std::numeric_limits<int16_t>::max();

struct Measured {
    float loss, margin;
    int64_t predicted;
    bool finite;
};

// exp(x) for x <= 0, to about one unit in the last place; a loop over it becomes vectors.
inline float exp_below(float x) {
    x = x < -87.0f ? -87.0f : x;
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
constexpr float kNothing = -std::numeric_limits<float>::infinity();
// Largest of a row, and whether all of it is finite. The lanes give one order of sums, and so the
// same bits, to every width of vectors.
WIDE void survey(const float *__restrict row, int64_t classes, float *peak, bool *finite) {
    float largest[kLanes]; int32_t bad[kLanes];
    for (int k = 0; k < kLanes; ++k) { largest[k] = kNothing; bad[k] = 0; }
    int64_t c = 0;
    for (; c + kLanes <= classes; c += kLanes)
        for (int k = 0; k < kLanes; ++k) {
            const float v = row[c + k];
            largest[k] = v > largest[k] ? v : largest[k];
            int32_t b; std::memcpy(&b, &v, 4);
            bad[k] |= (b & 0x7fffffff) >= 0x7f800000;
        }
    int32_t any = 0; float found = kNothing;
    for (int k = 0; k < kLanes; ++k) { any |= bad[k]; found = largest[k] > found ? largest[k] : found; }
    for (; c < classes; ++c) { any |= !(std::fabs(row[c]) <= std::numeric_limits<float>::max()); found = row[c] > found ? row[c] : found; }
    *peak = found; *finite = !any;
}
WIDE float sum_exp(const float *__restrict row, int64_t classes, float peak) {
    float sums[kLanes] = {};
    int64_t c = 0;
    for (; c + kLanes <= classes; c += kLanes)
        for (int k = 0; k < kLanes; ++k) sums[k] += exp_below(row[c + k] - peak);
    if (c < classes) {
        float rest[kLanes];
        for (int k = 0; k < kLanes; ++k) rest[k] = c + k < classes ? row[c + k] - peak : -87.0f;
        for (int k = 0; k < kLanes; ++k) rest[k] = exp_below(rest[k]);
        for (int k = 0; k < kLanes; ++k) sums[k] += c + k < classes ? rest[k] : 0.0f;
    }
    float total = 0;
    for (int k = 0; k < kLanes; ++k) total += sums[k];
    return total;
}
// Largest of classes `first` to `last`, not included.
WIDE float largest_between(const float *__restrict row, int64_t first, int64_t last) {
    float largest[kLanes];
    for (int k = 0; k < kLanes; ++k) largest[k] = kNothing;
    int64_t c = first;
    for (; c + kLanes <= last; c += kLanes)
        for (int k = 0; k < kLanes; ++k) largest[k] = row[c + k] > largest[k] ? row[c + k] : largest[k];
    float found = kNothing;
    for (int k = 0; k < kLanes; ++k) found = largest[k] > found ? largest[k] : found;
    for (; c < last; ++c) found = row[c] > found ? row[c] : found;
    return found;
}
Measured measure_row(const float *row, int64_t classes, int64_t label) {
    Measured found{0, 0, 0, true};
    float peak;
    survey(row, classes, &peak, &found.finite);
    if (!found.finite) return found;
    found.predicted = std::find(row, row + classes, peak) - row;  // of equal ones the first
    const float of_target = row[label] - peak;
    const float other = std::max(largest_between(row, 0, label), largest_between(row, label + 1, classes));
    found.loss = std::min(std::log(sum_exp(row, classes, peak)) - of_target, kLarge);
    found.margin = std::clamp(of_target - (other - peak), -kLarge, kLarge);
    return found;
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
        run(rows.data(), steps.data(), lengths, stats, [&](int64_t i, Row &row) {
            row.label = wanted[i];
            row.labelled = row.label >= 0 && row.label < classes_;
            const Measured found =
                measure_row(scores + i * classes_, classes_, row.labelled ? row.label : 0);
            row.usable = row.labelled && found.finite && (!losses || std::isfinite(losses[i]));
            row.loss = losses ? losses[i] : found.loss;
            row.margin = found.margin;
            row.predicted = found.predicted;
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
        run(rows.data(), steps.data(), lengths, stats, [&](int64_t i, Row &row) {
            row = {labels.data()[i],   predicted.data()[i], loss.data()[i],
                   margin.data()[i],   labelled.data()[i],  usable.data()[i]};
        });
        tell(rows, history, times);
    }

  private:
    struct Row {
        int64_t label, predicted;
        float loss, margin;
        bool labelled, usable;
    };

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
            if (lengths.data()[b] < 0) throw std::invalid_argument("a length is negative");
            total += lengths.data()[b];
        }
        if (total != count || steps.shape(0) != lengths.shape(0) ||
            stats.shape(0) != lengths.shape(0) || stats.shape(1) != 6)
            throw std::invalid_argument("lengths, steps and stats do not fit the rows");
        if (static_cast<int64_t>(history.shape(1)) != count || history.shape(0) != 3 ||
            static_cast<int64_t>(times.shape(0)) != count)
            throw std::invalid_argument("history must be (3, rows) and times (rows,)");
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
            for (int64_t i = first; i < first + length; ++i) {
                Row row;
                measure(i, row);
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
    std::vector<uint32_t> seen_in_;  // (N,) marks, all zero between two calls
    std::vector<Row> last_;          // of a batch in which a sample comes twice
    std::vector<int64_t> at_;
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
