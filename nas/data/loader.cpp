#include "nas/data/loader.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "engine/base/error.h"
#include "nas/data/augment.h"
#include "nas/data/batch_plan.h"
#include "nas/data/file.h"
#include "nas/data/prefetch.h"
#include "nas/space/nearest_name.h"

namespace nascent {
namespace {
template <class T>
void make_room(Batch<T>& out, int n, const Pictures& pictures) {
    out.n = n;
    out.pixels.resize(static_cast<std::size_t>(n) * pictures.picture_bytes());
    out.labels.resize(static_cast<std::size_t>(n));
}

template <class T>
void normalise(const std::uint8_t* from, std::size_t bytes, const NormalisationTable<T>& table, T* to) {
    for (std::size_t i = 0; i < bytes; i += 3) {
        to[i] = table[from[i]][0];
        to[i + 1] = table[from[i + 1]][1];
        to[i + 2] = table[from[i + 2]][2];
    }
}

void check_ids(std::span<const std::uint32_t> ids, const Pictures& pictures) {
    for (std::uint32_t id : ids) {
        NASCENT_CHECK(id < pictures.count(), usage, "picture {} is asked for, the split has {}", id, pictures.count());
    }
}
}  // namespace

LabelPolicy label_policy(const std::string& name) {
    static constexpr std::array<std::string_view, 3> names = {"true", "fixed-random", "per-access-random"};
    for (std::size_t i = 0; i < names.size(); i++) {
        if (name == names[i]) return static_cast<LabelPolicy>(i);
    }
    fail(ErrorKind::usage, "labels '{}' are unknown, did you mean '{}'? (known: {})", name, nearest_name(name, names),
         join_names(names));
}

template <class T>
struct Loader<T>::State {
    const Pictures& pictures;
    const NormalisationTable<T> table;
    const LoaderOptions options;
    const BatchPlan plan;
    Prefetch<Batch<T>> prefetch;  // last: its threads use the others

    State(const Pictures& p, std::vector<std::uint32_t> ids, int classes, const Normalisation& norm, LoaderOptions o)
        : pictures(p),
          table(normalisation_table<T>(norm)),
          options(std::move(o)),
          plan(batch_plan(std::move(ids), p.labels, classes, options.seed, options.batch_size, options.order,
                          options.epoch_pictures, options.labels, options.fixed_labels)),
          prefetch(
              options.workers, std::max(options.ahead, options.workers), [](std::uint64_t, Batch<T>&) { return 1; },
              [this](std::uint64_t step, int, int, Batch<T>& out) { prepare(step, out); }) {}

    std::uint32_t picture(std::uint64_t step, int position) const { return plan.ids[plan.place(step, position)]; }
    Augmentation augmentation(std::uint64_t step, int position) const {
        return draw_augmentation(options.seed, step, static_cast<std::uint32_t>(position), pictures.height,
                                 pictures.width);
    }

    void prepare(std::uint64_t step, Batch<T>& out) const {
        make_room(out, plan.count(step), pictures);
        const std::size_t bytes = pictures.picture_bytes();
        std::vector<std::uint8_t> changed(bytes);
        for (int i = 0; i < out.n; i++) {
            const std::uint32_t id = picture(step, i);
            const std::uint8_t* from = pictures.picture(id);
            if (options.augment) {
                augment(from, pictures.height, pictures.width, augmentation(step, i), changed.data());
                from = changed.data();
            }
            if (options.transform) {
                if (from != changed.data()) std::copy_n(from, bytes, changed.data());
                options.transform(step, i, changed.data());
                from = changed.data();
            }
            normalise(from, bytes, table, &out.pixels[static_cast<std::size_t>(i) * bytes]);
            out.labels[static_cast<std::size_t>(i)] = plan.label(pictures.labels, id, step, i);
        }
    }
};

template <class T>
Loader<T>::Loader(const Pictures& pictures, std::vector<std::uint32_t> ids, int classes, const Normalisation& norm,
                  LoaderOptions options) {
    check_workers(options.workers, options.ahead);
    state_ = std::make_unique<State>(pictures, std::move(ids), classes, norm, std::move(options));
}

template <class T>
Loader<T>::~Loader() = default;

template <class T>
std::uint64_t Loader<T>::steps_per_epoch() const {
    return state_->plan.steps_per_epoch();
}

template <class T>
int Loader<T>::batch_count(std::uint64_t step) const {
    return state_->plan.count(step);
}

template <class T>
void Loader<T>::batch(std::uint64_t step, Batch<T>& out) {
    state_->prefetch.fetch(step, out);
}

template <class T>
void Loader<T>::draws(std::uint64_t step, std::vector<std::array<std::int32_t, 4>>& draws,
                      std::vector<int>& labels) const {
    const State& s = *state_;
    NASCENT_CHECK(!transforms(), usage,
                  "pictures that a function of the caller changes must be prepared by the loader");
    draws.clear();
    labels.clear();
    for (int i = 0; i < s.plan.count(step); i++) {
        const std::uint32_t id = s.picture(step, i);
        Augmentation a{false, crop_padding(s.pictures.height), crop_padding(s.pictures.width)};  // as it is
        if (s.options.augment) a = s.augmentation(step, i);
        draws.push_back({static_cast<std::int32_t>(id), a.top, a.left, a.flip});
        labels.push_back(s.plan.label(s.pictures.labels, id, step, i));
    }
}

template <class T>
bool Loader<T>::transforms() const {
    return static_cast<bool>(state_->options.transform);
}
template <class T>
const Pictures& Loader<T>::pictures() const {
    return state_->pictures;
}
template <class T>
const NormalisationTable<T>& Loader<T>::table() const {
    return state_->table;
}

template <class T>
double Loader<T>::wait_seconds() const {
    return state_->prefetch.waited();
}

template <class T>
void evaluation_batch(const Pictures& pictures, std::span<const std::uint32_t> ids, const Normalisation& norm,
                      std::size_t index, int batch_size, Batch<T>& out) {
    NASCENT_CHECK(batch_size >= 1, usage, "batch size {}, expected at least 1", batch_size);
    const auto size = static_cast<std::size_t>(batch_size);
    const std::size_t total = ids.empty() ? pictures.count() : ids.size();
    const std::size_t first = index <= total / size ? index * size : total;
    const std::size_t n = std::min(size, total - first);
    if (!ids.empty()) check_ids(ids.subspan(first, n), pictures);
    make_room(out, static_cast<int>(n), pictures);
    const NormalisationTable<T> table = normalisation_table<T>(norm);
    for (std::size_t i = 0; i < n; i++) {
        const std::size_t id = ids.empty() ? first + i : ids[first + i];
        normalise(pictures.picture(id), pictures.picture_bytes(), table, &out.pixels[i * pictures.picture_bytes()]);
        out.labels[i] = pictures.labels[id];
    }
}

template class Loader<float>;
template class Loader<double>;
template void evaluation_batch(const Pictures&, std::span<const std::uint32_t>, const Normalisation&, std::size_t, int,
                               Batch<float>&);
template void evaluation_batch(const Pictures&, std::span<const std::uint32_t>, const Normalisation&, std::size_t, int,
                               Batch<double>&);

}  // namespace nascent
