// The stages of a progressive search (DrNAS, Chen, Wang, Cheng, Tang and Hsieh, ICLR 2021, section 3.3): from one to
// the next operators are pruned and those that are left see more channels.
#pragma once
#include <string>
#include <vector>

#include "nas/algo/search_space.h"

namespace nascent {

struct Stage {
    int epoch = 0;      // that it begins with
    int partial = 1;    // operators see one channel in so many
    int operators = 0;  // that are left of an edge
    bool operator==(const Stage&) const = default;
};

/// The first, from epoch 0, and those of `text`: EPOCH:K:OPERATORS with commas between, empty for none. Throws
/// Error(usage) for another text, epochs that do not ascend, K that does not get smaller or does not divide the
/// channels, and operators that are none or more than there are left.
std::vector<Stage> read_stages(const std::string& text, const Stage& first, int channels);

/// By matrix, edge and operator: what was not pruned. Empty: nothing was.
using Kept = std::vector<std::vector<bool>>;
/// Of each row the `operators` largest, of equals the first; what was pruned before (minus infinity) stays so. Matrices
/// of one column are no operators.
Kept pruned(const Alphas& alphas, const std::vector<AlphaMatrix>& matrices, int operators);

/// A text for each matrix, 1 for what is kept; and back. Throws Error(checkpoint) for texts that are not of these
/// matrices.
std::vector<std::string> kept_texts(const Kept& kept);
Kept kept_of(const std::vector<std::string>& texts, const std::vector<AlphaMatrix>& matrices);

/// How many operators each edge has left, and their names: "1<-0: skip_connect nor_conv_3x3", behind the matrix's name
/// where there are several.
std::vector<int> operators_left(const Kept& kept, const std::vector<AlphaMatrix>& matrices);
std::vector<std::string> describe(const Kept& kept, const std::vector<AlphaMatrix>& matrices);

}  // namespace nascent
