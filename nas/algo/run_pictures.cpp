#include "nas/algo/run_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "nas/data/picture_loader.h"
#include "nas/run/run_directory.h"

namespace nascent {
namespace {

/// What the network is given, in words.
std::string name_of(const PixelFormat& format, const std::string& pipeline) {
    std::string scale = format.norm.name;
    if (format.scale == PixelFormat::Scale::bytes) scale = "0..255";
    if (format.scale == PixelFormat::Scale::unit) scale = "0..1";
    return fmt::format("{}, pipeline {}", scale, pipeline);
}

}  // namespace

OpenedPictures open_pictures(const PictureOptions& o, const ProcessOptions& process, bool needs_test) {
    OpenedPictures all;
    if (o.pipeline == "none") {
        all.set = load_pictures(o, process);
        all.norm = normalisation(o.norm, all.set);
        return all;
    }
    Scope scope("--data {}", o.source);
    all.pipeline = at_size(picture_pipeline(o.pipeline), o.size);
    PixelFormat& format = all.pipeline.format;
    if (o.norm != "auto") format.norm = normalisation(o.norm, {});
    all.files = open_pictures(o.source, all.pipeline, o.classes, needs_test);
    all.set = all.files->labelled;
    all.norm = format.norm;
    all.norm.name = name_of(format, o.pipeline);
    return all;
}

RunPictures::RunPictures(const PictureOptions& o, const ProcessOptions& process, bool needs_test)
    : OpenedPictures(open_pictures(o, process, needs_test)), skip_corrupt_(o.skip_corrupt) {}

template <class T>
BatchSource RunPictures::open(Split split, std::vector<std::uint32_t> ids, const LoaderOptions& o) {
    const bool test = split == Split::test;
    if (!files) {
        auto loader = std::make_shared<Loader<T>>(test ? set.test : set.train, std::move(ids), set.classes, norm, o);
        loaders_.push_back(loader);
        return source_of(*loader, square_side(set));
    }
    PictureLoaderOptions p;
    p.pipeline = pipeline;
    p.train = o.augment;
    p.seed = o.seed;
    p.batch_size = o.batch_size;
    p.order = o.order;
    p.epoch_pictures = o.epoch_pictures;
    p.labels = o.labels;
    p.fixed_labels = o.fixed_labels;
    p.skip_corrupt = skip_corrupt_;
    p.workers = o.workers;
    auto loader = std::make_shared<PictureLoader<T>>(test ? files->test : files->train, std::move(ids), std::move(p));
    loaders_.push_back(loader);
    corrupt_of_.push_back([test, of = loader.get()] {
        std::vector<std::string> names = of->corrupt();
        for (std::string& name : names) name.insert(0, test ? "val/" : "train/");
        return names;
    });
    return source_of(*loader);
}

BatchSource RunPictures::open(DType dtype, Split split, std::vector<std::uint32_t> ids, const LoaderOptions& options) {
    return dtype == DType::f64 ? open<double>(split, std::move(ids), options)
                               : open<float>(split, std::move(ids), options);
}

void RunPictures::close() {
    corrupt_of_.clear();
    loaders_.clear();
}

std::vector<std::string> RunPictures::corrupt() const {
    std::set<std::string> all;
    for (const auto& names : corrupt_of_)
        for (std::string& name : names()) all.insert(std::move(name));
    return {all.begin(), all.end()};
}

void RunPictures::warn_of_corrupt(RunLog& log) {
    const std::vector<std::string> all = corrupt();
    if (all.size() == said_) return;
    said_ = all.size();
    const std::size_t shown = std::min<std::size_t>(all.size(), 10);
    log.warn(fmt::format("{} corrupt pictures, whose places others take: {}{}", all.size(),
                         fmt::join(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
                         all.size() > shown ? ", ..." : ""));
}

}  // namespace nascent
