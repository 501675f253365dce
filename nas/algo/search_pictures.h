// The pictures of a search by gradients: two halves, and the batches of each.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nas/algo/batches.h"
#include "nas/algo/search_config.h"
#include "nas/data/picture_set.h"

namespace nascent {

// Seeds of the loaders that must not draw as the weights' does.
inline constexpr std::uint64_t alpha_seed = 0x9E3779B97F4A7C15, valid_seed = 0xC2B2AE3D27D4EB4F;

/// With arch.batches = "iterator": which batch of the alphas' loader, whose epochs have `own` steps, goes with a step of
/// the weights, whose epochs have `steps`. Each of those begins with a new shuffle, as the iterator of PC-DARTS's and
/// DrNAS's programs for ImageNet is local to the function that trains an epoch.
std::int64_t iterator_step(std::int64_t step, std::int64_t steps, std::int64_t own);

/// Loaders of the network's type, and what they stand on: pictures in memory, or with data.pipeline files or packs that
/// a batch's pictures are read from.
class Pictured {
  public:
    /// Throws what load_dataset(), open_pictures() and halves_of() throw.
    explicit Pictured(const SearchConfig& config);
    BatchSource train(const SearchConfig& config);
    BatchSource alpha(const SearchConfig& config);
    BatchSource valid(const SearchConfig& config);
    /// "CLASS/FILE" of the corrupt pictures that batches have met so far, whose places others have taken; sorted.
    std::vector<std::string> corrupt() const;

    Dataset set;  // without pixels where they are not in memory
    Halves halves;
    Normalisation norm;  // its name is for people

  private:
    enum class Half { train, valid };
    BatchSource source(const SearchConfig& config, Half half, const LoaderOptions& options);
    template <class T>
    BatchSource open(const SearchConfig& config, Half half, const LoaderOptions& options);
    PicturePipeline pipeline_;
    std::optional<PictureSet> files_;  // with a pipeline
    std::vector<std::shared_ptr<void>> loaders_;
    std::vector<std::function<std::vector<std::string>()>> corrupt_of_;
};

}  // namespace nascent
