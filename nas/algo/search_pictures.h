// The pictures of a search by gradients: two halves, and the batches of each.
#pragma once
#include "nas/algo/run_pictures.h"
#include "nas/algo/search_config.h"

namespace nascent {

// Seeds of the loaders that must not draw as the weights' does.
inline constexpr std::uint64_t alpha_seed = 0x9E3779B97F4A7C15, valid_seed = 0xC2B2AE3D27D4EB4F;

/// With arch.batches = "iterator": which batch of the alphas' loader, whose epochs have `own` steps, goes with a step
/// of the weights, whose epochs have `steps`. Each of those begins with a new shuffle, as the iterator of PC-DARTS's
/// and DrNAS's programs for ImageNet is local to the function that trains an epoch.
std::int64_t iterator_step(std::int64_t step, std::int64_t steps, std::int64_t own);

/// Loaders of the network's type.
class Pictured : public RunPictures {
  public:
    /// Throws what RunPictures() and halves_of() throw.
    explicit Pictured(const SearchConfig& config);
    BatchSource train(const SearchConfig& config);
    BatchSource alpha(const SearchConfig& config);
    BatchSource valid(const SearchConfig& config);

    Halves halves;

  private:
    enum class Half { train, valid };
    BatchSource source(const SearchConfig& config, Half half, const LoaderOptions& options);
};

}  // namespace nascent
