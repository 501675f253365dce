#include "nas/data/picture_set.h"

#include <utility>

#include "engine/base/error.h"

namespace nascent {
namespace {

std::shared_ptr<const PictureSource> packed(std::shared_ptr<const Pack> pack, bool orientation) {
    NASCENT_CHECK(pack->settings().orientation == orientation, data,
                  "{}: its pictures were {}turned by their EXIF orientation, the pipeline {}; pack them again",
                  pack->path(), orientation ? "not " : "", orientation ? "turns them" : "does not turn them");
    return pack_source(std::move(pack));
}

Pictures outline(const PictureSource& source, int side) { return {side, side, {}, source.labels()}; }

}  // namespace

bool is_picture_set(const std::string& spec) { return spec.starts_with("folder:") || spec.starts_with("pack:"); }

PictureSet open_pictures(const std::string& spec, const PicturePipeline& pipeline, int classes, bool needs_test) {
    const std::size_t colon = spec.find(':');
    NASCENT_CHECK(is_picture_set(spec) && colon + 1 < spec.size(), usage,
                  "data set '{}': expected folder:DIR or pack:DIR, whose pictures are read when they are needed", spec);
    const std::string path = spec.substr(colon + 1);
    Scope scope("data set {}", spec);
    PictureSet set;
    set.labelled.name = spec.substr(0, colon);
    if (set.labelled.name == "folder") {
        auto [train, test] = list_splits(path, classes, needs_test);
        const DecodeOptions options{.orientation = pipeline.orientation};
        set.train = folder_source(std::move(train), options);
        if (!test.files.empty()) set.test = folder_source(std::move(test), options);
    } else {
        auto [train, test] = open_packs(path, classes, needs_test);
        set.labelled.skipped = train->skipped().size() + (test ? test->skipped().size() : 0);
        set.train = packed(std::move(train), pipeline.orientation);
        if (test) set.test = packed(std::move(test), pipeline.orientation);
    }
    set.labelled.class_names = set.train->class_names();
    set.labelled.classes = static_cast<int>(set.labelled.class_names.size());
    set.labelled.train = outline(*set.train, pipeline.train.size);
    if (set.test) set.labelled.test = outline(*set.test, pipeline.train.size);
    return set;
}

}  // namespace nascent
