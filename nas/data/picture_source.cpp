#include "nas/data/picture_source.h"

#include <utility>

namespace nascent {
namespace {
constexpr std::size_t max_file = std::size_t{256} << 20;

class FolderSource : public PictureSource {
  public:
    FolderSource(ClassFolders folders, const DecodeOptions& options) : folders_(std::move(folders)), options_(options) {
        class_names_ = folders_.class_names;
        labels_ = folders_.labels;
    }
    std::string name(std::size_t i) const override { return folders_.files[i]; }
    Pixels read(std::size_t i, const ChooseRegion& choose, Scratch& scratch) const override {
        const std::string path = folders_.path(i);
        scratch.file = read_bytes(path, max_file);
        DecodedRegion& d = scratch.decoded;
        decode_region(scratch.file, path, options_, choose, d);
        return {view_of(d.picture), {d.top, d.left, d.bottom, d.right}};
    }

  private:
    ClassFolders folders_;
    DecodeOptions options_;
};

class PackSource : public PictureSource {
  public:
    explicit PackSource(std::shared_ptr<const Pack> pack) : pack_(std::move(pack)) {
        class_names_ = pack_->class_names();
        for (std::size_t i = 0; i < pack_->count(); i++) labels_.push_back(pack_->label(i));
    }
    std::string name(std::size_t i) const override { return pack_->name(i); }
    Pixels read(std::size_t i, const ChooseRegion& choose, Scratch& scratch) const override {
        const PackEntry& e = pack_->entry(i);
        const Region r = checked_region(choose, e.height, e.width);
        PictureView view = pack_->rows(i, r.top, r.height, scratch.file);
        view.pixels += static_cast<std::size_t>(r.left) * 3;
        view.width = r.width;
        return {view, {0, 0, static_cast<double>(r.height), static_cast<double>(r.width)}};
    }

  private:
    std::shared_ptr<const Pack> pack_;
};
}  // namespace

std::unique_ptr<PictureSource> folder_source(ClassFolders folders, const DecodeOptions& options) {
    return std::make_unique<FolderSource>(std::move(folders), options);
}

std::unique_ptr<PictureSource> pack_source(std::shared_ptr<const Pack> pack) {
    return std::make_unique<PackSource>(std::move(pack));
}

}  // namespace nascent
