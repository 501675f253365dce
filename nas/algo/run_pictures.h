// The pictures of a run, whatever it does with them: in memory, or with data.pipeline files or packs that a batch's
// pictures are read from.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nas/algo/batches.h"
#include "nas/algo/common_options.h"
#include "nas/data/normalise.h"
#include "nas/data/picture_set.h"

namespace nascent {

class RunLog;

/// The pictures that settings name.
struct OpenedPictures {
    Dataset set;                      // without pixels where they are not in memory
    std::optional<PictureSet> files;  // with a pipeline
    PicturePipeline pipeline;         // that those are read with
    Normalisation norm;               // its name is for people
};
/// Without `needs_test` files that a pipeline reads may be training pictures alone. Throws what load_dataset(),
/// open_pictures() and normalisation() throw.
OpenedPictures open_pictures(const PictureOptions& pictures, const ProcessOptions& process, bool needs_test);

class RunPictures : public OpenedPictures {
  public:
    /// As open_pictures().
    RunPictures(const PictureOptions& pictures, const ProcessOptions& process, bool needs_test = true);
    RunPictures(const RunPictures&) = delete;
    RunPictures& operator=(const RunPictures&) = delete;

    enum class Split { train, test };
    /// Batches of the pictures at the places `ids` (empty: all), of type `dtype`; the loader lives until close(). Of
    /// the options, `transform` and `ahead` are of pictures in memory alone. With a pipeline, options.augment chooses
    /// between its training and its evaluation transform. Throws what the loaders throw, and Error(data) for pictures
    /// in memory that are no squares.
    BatchSource open(DType dtype, Split split, std::vector<std::uint32_t> ids, const LoaderOptions& options);
    /// Ends the loaders and their threads: no batch is asked for any more.
    void close();
    bool in_memory() const { return !files; }

    /// "train/CLASS/FILE" of the corrupt pictures that batches have met so far, whose places others have taken; sorted.
    std::vector<std::string> corrupt() const;
    /// Says so in the log where there are more than last time.
    void warn_of_corrupt(RunLog& log);

  private:
    template <class T>
    BatchSource open(Split split, std::vector<std::uint32_t> ids, const LoaderOptions& options);
    bool skip_corrupt_;
    std::vector<std::shared_ptr<void>> loaders_;
    std::vector<std::function<std::vector<std::string>()>> corrupt_of_;
    std::size_t said_ = 0;
};

}  // namespace nascent
