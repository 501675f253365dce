// A search's state in its checkpoints.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "nas/algo/search_parts.h"
#include "nas/run/training_loop.h"
#include "nas/supernet/initialise.h"

namespace nascent {

void SearchRun::save() {
    Parts& p = *parts_;
    const JsonObject epoch = JsonObject()
                                 .add("loss", p.epoch.loss)
                                 .add("pictures", p.epoch.pictures)
                                 .add("top1", p.epoch.top1)
                                 .add("top5", p.epoch.top5)
                                 .add("arch_loss", p.arch_loss);
    const JsonObject valid = JsonObject()
                                 .add("loss", p.last_valid.loss)
                                 .add("pictures", p.last_valid.pictures)
                                 .add("top1", p.last_valid.top1)
                                 .add("top5", p.last_valid.top5);
    const std::string state = JsonObject()
                                  .add("recorded", p.recorded)
                                  .add("ended", p.ended)
                                  .add("stopped", p.stopped)
                                  .add("warned", p.warned)
                                  .add("stage", p.stage)
                                  .add("kept", kept_texts(p.kept))
                                  .add("chosen", p.chosen)
                                  .add("epoch", epoch)
                                  .add("valid", valid)
                                  .add("pictures", p.pictures.halves.train.size() + p.pictures.halves.valid.size())
                                  .add("target", p.target)
                                  .text();
    const auto tensors =
        TrainingState::of(p.net->store(), p.trainer->optimizer(), p.batch_counts(), &p.trainer->arch_optimizer());
    directory_.save_checkpoint(step(), tensors.tensors(), state);
}

void SearchRun::read_stage(const Checkpoint& found) {
    Parts& p = *parts_;
    try {
        const auto state = nlohmann::json::parse(found.state);
        p.stage = state.value("stage", 0);
        NASCENT_CHECK(p.stage >= 0 && static_cast<std::size_t>(p.stage) < p.stages.size(), checkpoint,
                      "{}: state.json: stage {} of {}", directory_.path(), p.stage, p.stages.size());
        Scope scope("{}: state.json", directory_.path());
        p.kept = kept_of(state.value("kept", std::vector<std::string>{}), p.space.matrices());
    } catch (const nlohmann::json::exception& e) {
        fail(ErrorKind::checkpoint, "{}: state.json: {}", directory_.path(), e.what());
    }
}

void SearchRun::start(const std::optional<Checkpoint>& found) {
    Parts& p = *parts_;
    if (!found) {
        initialise(p.net->store(), static_cast<std::uint64_t>(config_.run.seed),
                   config_.net.bn_gamma == "ones" ? GammaStart::ones : GammaStart::uniform);
        return save();
    }
    TrainingState::restore(found->tensors, p.net->store(), p.trainer->optimizer(), p.batch_counts(),
                           &p.trainer->arch_optimizer());
    try {
        const auto state = nlohmann::json::parse(found->state);
        state.at("recorded").get_to(p.recorded);
        state.at("ended").get_to(p.ended);
        state.at("stopped").get_to(p.stopped);
        state.at("warned").get_to(p.warned);
        state.at("chosen").get_to(p.chosen);
        for (auto [name, score] : {std::pair{"epoch", &p.epoch}, {"valid", &p.last_valid}}) {
            const auto& from = state.at(name);
            from.at("loss").get_to(score->loss);
            from.at("pictures").get_to(score->pictures);
            from.at("top1").get_to(score->top1);
            from.at("top5").get_to(score->top5);
        }
        state.at("epoch").at("arch_loss").get_to(p.arch_loss);
        check_pictures(p.pictures.set, p.pictures.halves.train.size() + p.pictures.halves.valid.size(),
                       state.at("pictures").get<std::size_t>());
        warn_if_elsewhere(directory_.log(), p.target, state.at("target").get<std::string>());
    } catch (const nlohmann::json::exception& e) {
        fail(ErrorKind::checkpoint, "{}: state.json: {}", directory_.path(), e.what());
    }
    (void)p.trainer->alphas();  // throws where one is out of range
    directory_.log().line(fmt::format("goes on from step {} of {}", step(), total_steps()));
}

}  // namespace nascent
