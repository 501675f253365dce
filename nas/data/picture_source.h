// Pictures of any size with labels, read one at a time: from class folders or from a pack.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "nas/data/class_folders.h"
#include "nas/data/file.h"
#include "nas/data/pack.h"
#include "nas/data/picture.h"
#include "nas/data/resample.h"

namespace nascent {

class PictureSource {
  public:
    virtual ~PictureSource() = default;
    const std::vector<std::string>& class_names() const { return class_names_; }
    const std::vector<int>& labels() const { return labels_; }  // by picture
    std::size_t count() const { return labels_.size(); }
    /// "CLASS/FILE".
    virtual std::string name(std::size_t i) const = 0;

    /// What reading takes; one for each thread.
    struct Scratch {
        Bytes file;
        DecodedRegion decoded;
    };
    /// The chosen region: `box` of the pixels in `view`, which hold until `scratch` is used again.
    struct Pixels {
        PictureView view;
        SourceBox box;
    };
    /// Calls `choose` once with the picture's size. Throws Error(data) that names the picture where it is corrupt. Safe
    /// to call from several threads.
    virtual Pixels read(std::size_t i, const ChooseRegion& choose, Scratch& scratch) const = 0;

  protected:
    std::vector<std::string> class_names_;
    std::vector<int> labels_;
};

std::unique_ptr<PictureSource> folder_source(ClassFolders folders, const DecodeOptions& options = {});
std::unique_ptr<PictureSource> pack_source(std::shared_ptr<const Pack> pack);

}  // namespace nascent
