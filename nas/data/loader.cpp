#include "nas/data/loader.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <numeric>
#include <string_view>
#include <thread>

#include "engine/base/error.h"
#include "engine/base/rng.h"
#include "nas/data/augment.h"
#include "nas/data/file.h"
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
    // Fixed after construction.
    const Pictures& pictures;
    std::vector<std::uint32_t> ids;
    std::uint32_t classes;
    NormalisationTable<T> table;
    LoaderOptions options;

    // A batch being prepared or waiting to be fetched; step s lives in slot s % slots.size().
    struct Slot {
        Batch<T> batch;
        std::exception_ptr error;
        bool ready = false;
    };
    std::mutex lock;
    std::condition_variable work, done;  // for the workers; for the consumer
    std::vector<Slot> slots;
    std::uint64_t next_fetch = 0;  // the next step the consumer is expected to ask for
    std::uint64_t next_make = 0;   // the next step a worker takes; next_fetch <= next_make <= next_fetch + slots.size()
    int busy = 0;                  // workers inside prepare()
    bool halted = true;            // nobody begins another batch: before the first fetch, after an error, while seeking
    bool stop = false;
    std::vector<std::thread> threads;
    double waited = 0;  // the consumer's alone

    State(const Pictures& p, std::vector<std::uint32_t> i, int c, const Normalisation& norm, LoaderOptions o)
        : pictures(p),
          ids(std::move(i)),
          classes(static_cast<std::uint32_t>(c)),
          table(normalisation_table<T>(norm)),
          options(std::move(o)) {}

    std::uint64_t batch_size() const { return static_cast<std::uint64_t>(options.batch_size); }
    std::uint64_t epoch_pictures() const { return options.epoch_pictures > 0 ? options.epoch_pictures : ids.size(); }
    std::uint64_t steps_per_epoch() const { return (epoch_pictures() + batch_size() - 1) / batch_size(); }
    int count(std::uint64_t step) const {
        const bool fresh = options.order == BatchOrder::first_of_shuffle;
        const std::uint64_t first = fresh ? 0 : step % steps_per_epoch() * batch_size();
        return static_cast<int>(std::min<std::uint64_t>(batch_size(), epoch_pictures() - first));
    }

    int label(std::uint32_t id, std::uint64_t step, int position) const {
        switch (options.labels) {
            case LabelPolicy::truth:
                return pictures.labels[id];
            case LabelPolicy::fixed:
                return options.fixed_labels[id];
            case LabelPolicy::per_access:
                break;
        }
        const Random random(options.seed, RandomStream::labels, step, static_cast<std::uint32_t>(position));
        return static_cast<int>(random.below(0, classes));
    }

    std::uint32_t picture(std::uint64_t step, int position) const {
        const auto place = static_cast<std::uint64_t>(position);
        if (options.order == BatchOrder::first_of_shuffle)
            return ids[shuffled(options.seed, RandomStream::order, step, ids.size(), place)];
        if (options.order == BatchOrder::replacement)
            return ids[Random(options.seed, RandomStream::order, step, static_cast<std::uint32_t>(position))
                           .below(0, static_cast<std::uint32_t>(ids.size()))];
        const std::uint64_t epoch = step / steps_per_epoch(), first = step % steps_per_epoch() * batch_size();
        return ids[shuffled(options.seed, RandomStream::order, epoch, ids.size(), first + place)];
    }
    Augmentation augmentation(std::uint64_t step, int position) const {
        return draw_augmentation(options.seed, step, static_cast<std::uint32_t>(position), pictures.height,
                                 pictures.width);
    }

    void prepare(std::uint64_t step, Batch<T>& out) const {
        make_room(out, count(step), pictures);
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
            out.labels[static_cast<std::size_t>(i)] = label(id, step, i);
        }
    }

    void work_loop() {
        std::unique_lock guard(lock);
        for (;;) {
            work.wait(guard, [&] { return stop || (!halted && next_make < next_fetch + slots.size()); });
            if (stop) return;
            const std::uint64_t step = next_make++;
            Slot& slot = slots[step % slots.size()];
            busy++;
            guard.unlock();
            std::exception_ptr error;
            try {
                prepare(step, slot.batch);
            } catch (...) {
                error = std::current_exception();
            }
            guard.lock();
            slot.error = error;
            slot.ready = true;
            busy--;
            done.notify_all();
        }
    }

    // Under the lock: forget what was prepared and go on from `step`.
    void seek(std::unique_lock<std::mutex>& guard, std::uint64_t step) {
        halted = true;
        done.wait(guard, [&] { return busy == 0; });
        for (Slot& slot : slots) slot.ready = false, slot.error = nullptr;
        next_fetch = next_make = step;
        halted = false;
        work.notify_all();
    }

    void fetch(std::uint64_t step, Batch<T>& out) {
        std::unique_lock guard(lock);
        if (halted || step != next_fetch) seek(guard, step);
        Slot& slot = slots[step % slots.size()];
        done.wait(guard, [&] { return slot.ready; });
        if (slot.error) {
            halted = true;  // asked again, it is tried again
            std::rethrow_exception(slot.error);
        }
        std::swap(slot.batch, out);
        slot.ready = false;
        next_fetch++;
        work.notify_one();
    }

    void end() {
        {
            std::lock_guard guard(lock);
            stop = true;
        }
        work.notify_all();
        for (std::thread& t : threads) t.join();
        threads.clear();
    }
    ~State() { end(); }
};

template <class T>
Loader<T>::Loader(const Pictures& pictures, std::vector<std::uint32_t> ids, int classes, const Normalisation& norm,
                  LoaderOptions options) {
    NASCENT_CHECK(options.batch_size >= 1, usage, "batch size {}, expected at least 1", options.batch_size);
    NASCENT_CHECK(options.workers >= 0 && options.workers <= 256, usage, "{} loader threads, expected 0..256",
                  options.workers);
    NASCENT_CHECK(options.ahead >= 1 && options.ahead <= 4096, usage, "{} batches ahead, expected 1..4096",
                  options.ahead);
    NASCENT_CHECK(classes >= 1, usage, "{} classes, expected at least 1", classes);
    NASCENT_CHECK(pictures.count() > 0 && pictures.count() <= 0xFFFFFFFF, usage, "a split of {} pictures",
                  pictures.count());
    NASCENT_CHECK(options.epoch_pictures == 0 || options.order == BatchOrder::replacement, usage,
                  "an epoch of {} pictures is for draws with replacement alone", options.epoch_pictures);
    check_ids(ids, pictures);
    if (ids.empty()) {
        ids.resize(pictures.count());
        std::iota(ids.begin(), ids.end(), 0u);
    }
    const bool fixed = options.labels == LabelPolicy::fixed;
    NASCENT_CHECK(fixed ? options.fixed_labels.size() == pictures.count() : options.fixed_labels.empty(), usage,
                  "{} fixed labels, expected {}", options.fixed_labels.size(), fixed ? pictures.count() : 0);
    for (int l : fixed ? options.fixed_labels : pictures.labels) {
        NASCENT_CHECK(l >= 0 && l < classes, usage, "label {}, expected 0..{}", l, classes - 1);
    }
    state_ = std::make_unique<State>(pictures, std::move(ids), classes, norm, std::move(options));
    const int workers = state_->options.workers;
    if (workers == 0) return;
    state_->slots.resize(static_cast<std::size_t>(std::max(state_->options.ahead, workers)));
    for (int i = 0; i < workers; i++) state_->threads.emplace_back([s = state_.get()] { s->work_loop(); });
}

template <class T>
Loader<T>::~Loader() = default;

template <class T>
std::uint64_t Loader<T>::steps_per_epoch() const {
    return state_->steps_per_epoch();
}

template <class T>
int Loader<T>::batch_count(std::uint64_t step) const {
    return state_->count(step);
}

template <class T>
void Loader<T>::batch(std::uint64_t step, Batch<T>& out) {
    struct Clock {
        double& total;
        std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
        ~Clock() { total += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); }
    } clock{state_->waited};
    if (state_->threads.empty()) {
        state_->prepare(step, out);
    } else {
        state_->fetch(step, out);
    }
}

template <class T>
void Loader<T>::draws(std::uint64_t step, std::vector<std::array<std::int32_t, 4>>& draws,
                      std::vector<int>& labels) const {
    const State& s = *state_;
    NASCENT_CHECK(!transforms(), usage,
                  "pictures that a function of the caller changes must be prepared by the loader");
    draws.clear();
    labels.clear();
    for (int i = 0; i < s.count(step); i++) {
        const std::uint32_t id = s.picture(step, i);
        Augmentation a{false, crop_padding(s.pictures.height), crop_padding(s.pictures.width)};  // as it is
        if (s.options.augment) a = s.augmentation(step, i);
        draws.push_back({static_cast<std::int32_t>(id), a.top, a.left, a.flip});
        labels.push_back(s.label(id, step, i));
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
    return state_->waited;
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
