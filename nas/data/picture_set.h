// Both splits of a data set whose pictures have any size and stay where they are until a batch holds them.
#pragma once
#include <memory>
#include <string>

#include "nas/data/dataset.h"
#include "nas/data/picture_source.h"
#include "nas/data/transform.h"

namespace nascent {

struct PictureSet {
    std::shared_ptr<const PictureSource> train, test;  // test: null where there is none
    /// Names, labels and the side that the pipeline's training transform gives the pictures; no pixels.
    Dataset labelled;
};

/// Whether open_pictures() takes it: `folder:DIR | pack:DIR`.
bool is_picture_set(const std::string& spec);

/// `folder:DIR | pack:DIR` as load_dataset() has them, pictures of any size; `classes`: how many there must be, 0 for
/// any; without `needs_test` there may be training pictures alone. Throws Error(usage) on another spec, Error(data)
/// when files are missing or not what they should be, and when a pack's pictures were turned by their EXIF orientation
/// and the pipeline does not, or the other way round.
PictureSet open_pictures(const std::string& spec, const PicturePipeline& pipeline, int classes, bool needs_test = true);

}  // namespace nascent
