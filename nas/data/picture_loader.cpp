#include "nas/data/picture_loader.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <set>
#include <utility>

#include "engine/base/error.h"
#include "nas/data/batch_plan.h"
#include "nas/data/prefetch.h"

namespace nascent {
namespace {
/// What one thread works with.
struct Workspace {
    PictureSource::Scratch scratch;
    Resampler resampler;
    std::vector<std::uint8_t> padded, picture;
};

Region inside(const Region& crop, int height, int width) {
    const int top = std::max(0, crop.top), left = std::max(0, crop.left);
    return {top, left, std::min(height, crop.top + crop.height) - top, std::min(width, crop.left + crop.width) - left};
}

/// Black around the part of a crop that lies inside the picture (`region`), for the rest of the crop. The decoder may
/// have halved the part, and halves the rest with it.
void pad(PictureSource::Pixels& part, const Region& region, const Region& crop, std::vector<std::uint8_t>& to) {
    const double d = region.height / (part.box.bottom - part.box.top);  // 1, 2, 4 or 8
    const auto scaled = [&](int pixels) { return static_cast<int>(std::ceil(pixels / d)); };
    const int above = region.top - crop.top, before = region.left - crop.left;
    const int top = scaled(above), left = scaled(before);
    const PictureView& from = part.view;
    PictureView all;
    all.height = top + from.height + scaled(crop.height - above - region.height);
    all.width = left + from.width + scaled(crop.width - before - region.width);
    all.stride = static_cast<std::size_t>(all.width) * 3;
    to.assign(static_cast<std::size_t>(all.height) * all.stride, 0);
    all.pixels = to.data();
    for (int y = 0; y < from.height; y++) {
        std::memcpy(&to[static_cast<std::size_t>(top + y) * all.stride + static_cast<std::size_t>(left) * 3],
                    from.pixels + static_cast<std::size_t>(y) * from.stride, static_cast<std::size_t>(from.width) * 3);
    }
    part.view = all;
    part.box.top += top - above / d, part.box.left += left - before / d;
    part.box.bottom = part.box.top + crop.height / d, part.box.right = part.box.left + crop.width / d;
}

template <class T>
void write_pixels(const std::uint8_t* from, int size, bool flip, bool bgr, const NormalisationTable<T>& table, T* to) {
    const std::size_t first = bgr ? 2 : 0, last = 2 - first;
    for (int y = 0; y < size; y++, from += static_cast<std::size_t>(size) * 3) {
        const std::uint8_t* p = flip ? from + static_cast<std::size_t>(size - 1) * 3 : from;
        const std::ptrdiff_t next = flip ? -3 : 3;
        for (int x = 0; x < size; x++, p += next, to += 3) {
            to[0] = table[p[first]][0];
            to[1] = table[p[1]][1];
            to[2] = table[p[last]][2];
        }
    }
}
}  // namespace

template <class T>
struct PictureLoader<T>::State {
    const std::shared_ptr<const PictureSource> source;
    const PictureLoaderOptions options;
    const NormalisationTable<T> table;
    const BatchPlan plan;
    std::vector<Workspace> workspaces;
    mutable std::mutex lock;
    std::set<std::string> corrupt;  // under the lock
    Prefetch<Batch<T>> prefetch;    // last: its threads use the others

    State(std::shared_ptr<const PictureSource> s, std::vector<std::uint32_t> ids, PictureLoaderOptions o)
        : source(std::move(s)),
          options(std::move(o)),
          table(pixel_table<T>(options.pipeline.format)),
          plan(batch_plan(std::move(ids), source->labels(), static_cast<int>(source->class_names().size()),
                          options.seed, options.batch_size, options.order, options.epoch_pictures, options.labels,
                          options.fixed_labels)),
          workspaces(static_cast<std::size_t>(std::max(options.workers, 1))),
          prefetch(
              options.workers, options.ahead,
              [this](std::uint64_t step, Batch<T>& out) {
                  out.n = plan.count(step);
                  const auto n = static_cast<std::size_t>(out.n);
                  out.pixels.resize(n * picture_values());
                  out.labels.resize(n);
                  return out.n;
              },
              [this](std::uint64_t step, int part, int worker, Batch<T>& out) { place(step, part, worker, out); }) {}

    int size() const { return options.train ? options.pipeline.train.size : options.pipeline.evaluation.crop; }
    std::size_t picture_values() const {
        return static_cast<std::size_t>(size()) * static_cast<std::size_t>(size()) * 3;
    }

    PictureDraws draws(std::uint64_t step, int position, std::uint32_t id) const {
        if (plan.order == BatchOrder::replacement) return {options.seed, step, static_cast<std::uint32_t>(position)};
        return {options.seed, plan.order == BatchOrder::first_of_shuffle ? step : step / plan.steps_per_epoch(), id};
    }

    void train(std::uint32_t id, const PictureDraws& draw, Workspace& w) const {
        const TrainTransform& t = options.pipeline.train;
        Region crop, region;
        const auto choose = [&](int height, int width) {
            crop = draw.crop(t, height, width);
            return region = inside(crop, height, width);
        };
        PictureSource::Pixels pixels = source->read(id, choose, w.scratch);
        if (region != crop) pad(pixels, region, crop, w.padded);
        w.resampler.resize(pixels.view, pixels.box, t.size, t.size, {0, 0, t.size, t.size}, t.resize, w.picture.data());
        vary_colours(t, draw, w.picture);
    }

    void evaluate(std::uint32_t id, Workspace& w) const {
        const auto whole = [](int height, int width) { return Region{0, 0, height, width}; };
        const PictureSource::Pixels pixels = source->read(id, whole, w.scratch);
        const EvaluationTransform& e = options.pipeline.evaluation;
        const EvaluationCrop c = evaluation_crop(e, pixels.view.height, pixels.view.width);
        w.resampler.resize(pixels.view, pixels.box, c.height, c.width, c.window, e.convention, w.picture.data());
    }

    /// False for a corrupt picture that may be left out.
    bool prepare(std::uint32_t id, const PictureDraws& draw, Workspace& w) {
        try {
            options.train ? train(id, draw, w) : evaluate(id, w);
            return true;
        } catch (const Error& error) {
            if (!options.skip_corrupt || error.kind() != ErrorKind::data) throw;
            std::lock_guard guard(lock);
            corrupt.insert(source->name(id));
            return false;
        }
    }

    void place(std::uint64_t step, int position, int worker, Batch<T>& out) {
        Workspace& w = workspaces[static_cast<std::size_t>(worker)];
        w.picture.resize(picture_values());
        const std::size_t wanted = plan.place(step, position), count = plan.ids.size();
        std::uint32_t id = plan.ids[wanted];
        for (std::size_t i = 0; !prepare(id, draws(step, position, id), w);) {
            NASCENT_CHECK(++i < count, data, "all {} pictures are corrupt", count);
            id = plan.ids[(wanted + i) % count];
        }
        const PixelFormat& format = options.pipeline.format;
        const bool flip = options.train && draws(step, position, id).flip(options.pipeline.train.flip);
        const auto at = static_cast<std::size_t>(position);
        write_pixels(w.picture.data(), size(), flip, format.bgr, table, &out.pixels[at * picture_values()]);
        out.labels[at] = plan.label(source->labels(), id, step, position);
    }
};

template <class T>
PictureLoader<T>::PictureLoader(std::shared_ptr<const PictureSource> source, std::vector<std::uint32_t> ids,
                                PictureLoaderOptions options) {
    check_workers(options.workers, options.ahead);
    check_pipeline(options.pipeline);
    state_ = std::make_unique<State>(std::move(source), std::move(ids), std::move(options));
}

template <class T>
PictureLoader<T>::~PictureLoader() = default;

template <class T>
std::uint64_t PictureLoader<T>::steps_per_epoch() const {
    return state_->plan.steps_per_epoch();
}

template <class T>
int PictureLoader<T>::batch_count(std::uint64_t step) const {
    return state_->plan.count(step);
}

template <class T>
int PictureLoader<T>::size() const {
    return state_->size();
}

template <class T>
void PictureLoader<T>::batch(std::uint64_t step, Batch<T>& out) {
    state_->prefetch.fetch(step, out);
}

template <class T>
double PictureLoader<T>::wait_seconds() const {
    return state_->prefetch.waited();
}

template <class T>
std::vector<std::string> PictureLoader<T>::corrupt() const {
    std::lock_guard guard(state_->lock);
    return {state_->corrupt.begin(), state_->corrupt.end()};
}

template class PictureLoader<float>;
template class PictureLoader<double>;

}  // namespace nascent
