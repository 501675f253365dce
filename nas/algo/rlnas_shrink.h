// Node dropping on NAS-Bench-201 from two states of a supernet (AngleNAS, ECCV 2020, its section 4).
#pragma once
#include <string>
#include <vector>

#include "nas/algo/rlnas_config.h"
#include "nas/algo/shrink_nb201.h"

namespace nascent {

struct ShrinkResult {
    std::vector<Nb201Dropped> dropped;
    ShrinkState state;
    std::string column;  // of the table that ranks; empty without one
};

/// Scores every operator of every edge by the mean angle over all architectures that have it, a cell without a path
/// counting as its fixed blocks, and drops the lowest by the schedule `nasbench201`. Throws Error(checkpoint) for
/// states that are not two of one NAS-Bench-201 supernet, and what the table throws. config.search.table ranks the
/// operators.
ShrinkResult shrink_states(const RlnasConfig& config, const std::string& initial, const std::string& trained);
/// {"space":...,"size":...,"column":...,"dropped":[{"edge":"1<-0","op":...,"score":...,"true_rank":...},...]}
std::string to_json(const ShrinkResult& result);
std::string to_text(const ShrinkResult& result);

}  // namespace nascent
