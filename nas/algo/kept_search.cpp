#include "nas/algo/kept_search.h"

#include <fmt/format.h>

#include <filesystem>

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"
#include "nas/algo/evolution_json.h"
#include "nas/run/interrupt.h"

namespace nascent {

KeptSearch::KeptSearch(const RlnasConfig& config, RunDirectory* directory)
    : config_(config), directory_(directory), path_(directory ? directory->path() + "/ckpt/search.json" : "") {}

std::optional<EvolutionState> KeptSearch::read() const {
    if (path_.empty() || !std::filesystem::exists(path_)) return {};
    EvolutionState state = evolution_from_json(read_file(path_), path_);
    directory_->log().line(fmt::format("the search goes on from generation {}", state.generation));
    return state;
}

void KeptSearch::after(const EvolutionState& s) {
    const bool stop = InterruptGuard::requested();
    const int every = config_.run.checkpoint_steps;
    const bool due = every > 0 && s.generation % every == 0;
    const std::chrono::duration<double> since = std::chrono::steady_clock::now() - saved_;
    if (!path_.empty() && (stop || due || s.generation == config_.search.generations ||
                           since.count() >= config_.run.checkpoint_seconds)) {
        write_file_atomic(path_, evolution_to_json(s));
        saved_ = std::chrono::steady_clock::now();
    }
    if (stop)
        fail(ErrorKind::interrupted, "stopped after generation {} of {}{}", s.generation, config_.search.generations,
             path_.empty() ? "" : "; go on with: rlnas resume " + directory_->path());
}

}  // namespace nascent
