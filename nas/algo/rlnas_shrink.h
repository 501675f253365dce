// Dropping operators by what is known of a trained supernet (AngleNAS, ECCV 2020, its section 4), and what a user is
// told of it.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "nas/algo/batches.h"
#include "nas/algo/rlnas_config.h"
#include "nas/algo/shrink_nb201.h"
#include "nas/supernet/nasbench201.h"

namespace nascent {

/// What shrinking left, and what it dropped in which order.
struct ShrinkResult {
    std::string space;
    ShrinkState state;
    std::string by = "angle";  // angle | accuracy | magnitude
    std::string column;        // of the table that ranks; empty without one
    struct Dropped {
        int stage = 0;  // from 1
        std::string layer, op;
        double score = 0;
        int true_rank = 0;  // 1 has the best mean accuracy, 0: no table
        int of = 0;         // of so many that could be dropped in that stage
    };
    std::vector<Dropped> dropped;
    struct Layer {
        std::string name;
        std::vector<std::string> operators;
    };
    std::vector<Layer> left;
};
/// {"space":...,"by":...,"size":...,"column":...,
///  "dropped":[{"stage":1,"edge":"1<-0","op":...,"score":...,"true_rank":...,"of":...},...],"left":{"1<-0":[...],...}}
std::string to_json(const ShrinkResult& result);
std::string to_text(const ShrinkResult& result);

/// "1<-0" and an operator's name, of nasbench201 and darts.
std::string layer_name(const std::string& space, int layer);
std::string operator_name(const std::string& space, int op);
/// In words what `state` says, with the true ranks that a table's accuracies (of nasbench201, by architecture; empty:
/// no table) give.
ShrinkResult shrink_result(const std::string& space, const ShrinkState& state, const std::string& by,
                           std::span<const double> accuracy);
/// By config.shrink.
ShrinkSchedule shrink_schedule(const RlnasConfig& config);

/// One stage of nasbench201 from two states of a supernet: operators are scored by config.shrink.by - the mean angle
/// over all architectures that have them, a cell without a path counting as its fixed blocks; their mean accuracy on
/// the held-out pictures of config.data, with the trained state's weights; or the magnitude of config.shrink.alphas -
/// and dropped by the schedule `nasbench201`. Throws Error(checkpoint) for states that are not two of one NAS-Bench-201
/// supernet, and what table, alphas and data throw. config.search.table ranks the operators.
ShrinkResult shrink_states(const RlnasConfig& config, const std::string& initial, const std::string& trained);

/// Mean accuracies (per cent): each architecture of the lists on a batch of its own, the source's of the number of its
/// id, running statistics as they are. `poll` is called before each and may throw.
std::vector<OperatorScore> nb201_accuracy_scores(Nb201Supernet& net, const BatchSource& source,
                                                 const OperatorLists& operators, const std::function<void()>& poll);

}  // namespace nascent
