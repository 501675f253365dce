#include "nas/algo/training_epochs.h"

#include <nlohmann/json.hpp>

#include "engine/base/error.h"

namespace nascent {

double EpochLoss::take() {
    const double mean = sum_ / static_cast<double>(pictures_);
    *this = {};
    return mean;
}

JsonObject TrainedOn::state(std::string_view phase, const EpochLoss& loss) const {
    return JsonObject()
        .add("phase", phase)
        .add("epoch_loss", loss.sum_)
        .add("epoch_pictures", loss.pictures_)
        .add("pictures", used)
        .add("target", target);
}

void TrainedOn::restore(const Checkpoint& found, RunDirectory& directory, EpochLoss& loss,
                        const std::function<void(const nlohmann::json&)>& others) const {
    try {
        const auto state = nlohmann::json::parse(found.state);
        state.at("epoch_loss").get_to(loss.sum_);
        state.at("epoch_pictures").get_to(loss.pictures_);
        check_pictures(set, used, state.at("pictures").get<std::size_t>());
        warn_if_elsewhere(directory.log(), target, state.at("target").get<std::string>());
        if (others) others(state);
    } catch (const nlohmann::json::exception& e) {
        fail(ErrorKind::checkpoint, "{}: state.json: {}", directory.path(), e.what());
    }
}

}  // namespace nascent
