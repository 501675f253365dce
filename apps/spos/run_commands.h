// What spos's commands on runs do, once the command line is understood.
#pragma once
#include <functional>
#include <string>

#include "nas/algo/spos_config.h"

namespace nascent::spos {

/// Starts a run in config.run.out (made; a dated folder where it is empty) and works to config.run.until.
void run(SposConfig config, bool json);
/// Goes on with the run in `directory`; `change` may set resumable_keys().
void resume(const std::string& directory, const std::function<void(SposConfig&)>& change, bool json);

}  // namespace nascent::spos
