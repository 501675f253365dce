// What each of darts_search's commands does, once the command line is understood.
#pragma once
#include <functional>
#include <string>

#include "nas/algo/search_run.h"

namespace nascent::darts_search {

/// Starts a run in config.run.out (made; a dated folder where it is empty).
void run(SearchConfig config, bool json);
/// Goes on with the run in `directory`; `change` may set resumable_keys(). A finished one says its result again.
void resume(const std::string& directory, const std::function<void(SearchConfig&)>& change, bool json);
/// The architecture of a run's newest alphas, or of a file of alphas; prints it, writes nothing.
void derive(const std::string& run_or_file, bool json);
/// Draws: a run's newest cells and the history of its alphas into `out` (empty: its export/), or, for a genotype or an
/// architecture, its cells (empty: the present folder).
void show(const std::string& run_or_text, const std::string& space, const std::string& out, bool json);

struct CostRequest {
    std::string text, space = "darts", data = "cifar10";
    int channels = 0, layers = 0, size = 0, classes = 0;  // 0: those of the data set's network
    bool auxiliary = false;
};
/// Parameters and MACs of a network, as JSON.
void cost(const CostRequest& request);

}  // namespace nascent::darts_search
