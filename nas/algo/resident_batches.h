// Batches of pictures that lie on the device as bytes: drawn by the host, 20 bytes a picture, and cut out by a kernel.
// They are the pixels that the loader would have prepared, to the bit.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "engine/memory/host_values.h"
#include "nas/algo/batches.h"
#include "ops/picture_stem.h"

namespace nascent {

/// Data sets on a device; one that several sources draw from lies there once.
class ResidentPictures {
  public:
    explicit ResidentPictures(Device& device) : arena_(device) {}
    /// Whether the device is a gpu, the source has draws, and its pictures take at most 16 GiB.
    bool can_hold(const BatchSource& source) const;
    /// What the source's batches are cut from; without draws. The source's table must be of type `dtype`.
    PictureInput input(const BatchSource& source, DType dtype);
    std::size_t bytes() const { return arena_.used(); }

  private:
    Arena arena_;
    std::map<const Pictures*, Tensor> pictures_;
    std::map<std::string, Tensor> tables_;  // by their bytes
};

class ResidentBatches {
  public:
    /// Null where the pictures cannot hold the source. What the source stands on must outlive it.
    static std::unique_ptr<ResidentBatches> of(ResidentPictures& pictures, const BatchSource& source, DType dtype);
    /// In the current arena: two copies to the device and a kernel.
    LabelledBatch batch(std::int64_t step);
    /// The same in two: what the host has to send, and what the device makes of it, which can be captured for batches
    /// of one size.
    void prepare(std::int64_t step, HostValues& values);
    LabelledBatch prepared() const;
    /// The source with batch() for its batches; as the source it must outlive its use.
    BatchSource as_source();
    int pictures() const { return static_cast<int>(now_.labels.size()); }
    /// Spent drawing.
    double wait_seconds() const { return waited_; }

  private:
    struct Places {
        Tensor draws, labels;
    };
    void draw(std::int64_t step);
    BatchSource source_;
    PictureInput input_;
    BatchDraws now_;
    std::map<std::size_t, Places> places_;  // by batch size
    double waited_ = 0;
};

}  // namespace nascent
