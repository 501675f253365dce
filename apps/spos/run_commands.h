// What spos's commands on runs do, once the command line is understood.
#pragma once
#include <functional>
#include <string>

#include "nas/algo/spos_config.h"

namespace nascent::spos {

/// Starts a run in config.run.out (made; a dated folder where it is empty) and works to config.run.until.
void run(SposConfig config, bool json);
/// Searches the supernet in config.search.checkpoint; a run without a training. Throws Error(usage) where it is empty.
void search(SposConfig config, bool json);
/// The same of the run in `directory`, in a new one; `change` sets what the user gave over that run's settings.
void search_run(const std::string& directory, const std::function<void(SposConfig&)>& change, bool json);
/// Goes on with the run in `directory`; `change` may set resumable_keys().
void resume(const std::string& directory, const std::function<void(SposConfig&)>& change, bool json);

}  // namespace nascent::spos
