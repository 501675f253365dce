// Pictures that a search looks at again and again: decoded once, kept on the device as bytes.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/memory/arena.h"
#include "nas/algo/loss.h"
#include "nas/data/dataset.h"
#include "nas/data/picture_loader.h"

namespace nascent {

/// What of a data set is held, and how its pictures are cut.
struct HeldRequest {
    std::vector<std::uint32_t> ids;  // places in the source, in the order that they are held in; not empty
    std::size_t count = 0;           // more than ids: they come again, in training views cut and varied anew
    bool training = false;  // views as in training, drawn by (seed, time around, picture); else as in evaluation
    std::uint64_t seed = 0;
    int workers = 1;
    bool skip_corrupt = false;
    std::function<void()> poll = [] {};  // called between some of them; what it throws ends the reading
};

class HeldPictures {
  public:
    /// Of pictures of any size. The network's pixels are bytes through a table, and bytes are what is held. Throws what
    /// PictureLoader throws.
    HeldPictures(Device& device, DType dtype, std::shared_ptr<const PictureSource> source,
                 const PicturePipeline& pipeline, const HeldRequest& request);
    /// Of pictures in memory: training views are cropped with a border of 4 and mirrored, as Loader's.
    HeldPictures(Device& device, DType dtype, const Pictures& pictures, int classes, const Normalisation& norm,
                 const HeldRequest& request);

    std::size_t count() const { return labels_.size(); }
    int side() const { return side_; }
    /// Memory that they take.
    std::size_t bytes() const { return pictures_.bytes(); }
    std::span<const int> labels() const { return labels_; }
    /// Pictures first, first + 1, ... (behind the last comes the first) as a network sees them, in the current arena.
    LabelledBatch batch(std::size_t first, int count) const;

  private:
    template <class Loader>
    void take(Loader& loader, const HeldRequest& request);
    template <class T>
    void put_table(const NormalisationTable<T>& table);

    Arena arena_;
    DType dtype_;
    int side_;
    Tensor pictures_;  // (count, side, side, 3)
    Tensor table_;     // (256, 3)
    std::vector<int> labels_;
};

/// The first `count` of the keyed shuffle number `salt` of 0 ... all - 1; all of them where count is 0 or more.
std::vector<std::uint32_t> first_shuffled(std::uint64_t seed, std::uint64_t salt, std::size_t all, std::size_t count);

}  // namespace nascent
