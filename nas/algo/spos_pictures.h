// The pictures of a run on chains: those that are trained on, and those that candidates are compared on.
#pragma once
#include <string>
#include <vector>

#include "nas/algo/run_pictures.h"
#include "nas/algo/spos_config.h"

namespace nascent {

/// In memory, or with data.pipeline files or packs that a batch's pictures are read from.
class SposPictures : public RunPictures {
  public:
    /// Throws what load_dataset(), open_pictures() and hold_out() throw. Where pictures are held out of the training
    /// set, files may have no other split.
    explicit SposPictures(const SposConfig& config);

    /// Training batches, in the network's type.
    BatchSource train(const SposConfig& config);
    /// Side and classes of the pictures as the network gets them.
    int size() const;
    int classes() const { return set.classes; }

    std::vector<std::uint32_t> train_ids;  // places in the training split
    std::vector<std::uint32_t> held_ids;   // to compare candidates on
    bool held_in_train = false;            // they are places in the training split, else in the validation split
    std::string warning;                   // what the user must be told, or ""
};

}  // namespace nascent
