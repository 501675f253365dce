// What each of rlnas's commands does, once the command line is understood.
#pragma once
#include <string>

#include "nas/algo/rlnas.h"

namespace nascent::rlnas {

/// Starts a run in config.run.out (made; a dated folder where it is empty) and works to config.run.until.
void run(RlnasConfig config, bool json);
/// Goes on with the run in `directory`; `change` may set resumable_keys().
void resume(const std::string& directory, const std::function<void(RlnasConfig&)>& change, bool json);
/// Searches a finished training's states, with the run's configuration as `change` alters it.
void search_run(const std::string& directory, const std::function<void(RlnasConfig&)>& change, bool json);
/// The same for two state dict files, without a run.
void search_files(const std::string& initial, const std::string& trained, const RlnasConfig& config, bool json);
/// Prints how the run's angles rank a table; writes nothing.
void rank(const std::string& directory, const std::function<void(RlnasConfig&)>& change, bool json);

/// Prints the angles of `count` random architectures (of NAS-Bench-201: all) of two state dict files, or of a run where
/// `directory` is not empty, and how switches move them; writes nothing.
void angles(const std::string& directory, const std::string& initial, const std::string& trained, int count,
            const RlnasConfig& config, const std::function<void(RlnasConfig&)>& change, bool json);

/// Drops operators (of NAS-Bench-201) by the angles of a finished run, or of two files where `directory` is empty;
/// writes export/shrunk_space.json into the run, or `out` where it is not empty.
struct ShrinkRequest {
    std::string directory, initial, trained, out;
};
void shrink(const ShrinkRequest& request, const RlnasConfig& config, const std::function<void(RlnasConfig&)>& change,
            bool json);

struct CostRequest {
    std::string arch, space = "nasbench201";
    int classes = 10, size = 32, channels = 16, cells = 5;
};
void cost(const CostRequest& request, bool json);

}  // namespace nascent::rlnas
