#include "nas/algo/spos_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "nas/algo/shrink_json.h"
#include "nas/algo/spos.h"
#include "nas/algo/spos_search.h"
#include "nas/run/interrupt.h"
#include "nas/supernet/chain_state_dict.h"

namespace nascent {
namespace {

constexpr std::uint64_t kCalibration = 1, kEvaluation = 2;  // numbers of shuffles

/// Pictures of a run, held for a search.
class Held {
  public:
    Held(const SposConfig& c, const SposPictures& pictures, Device& device) : c_(c), of_(pictures), device_(device) {}

    std::unique_ptr<HeldPictures> calibration() const {
        const SposSearchOptions& s = c_.search;
        if (s.norms == "batch" || s.norms == "none") return nullptr;
        HeldRequest r = request();
        r.training = s.calibration_views == "train";
        r.count = static_cast<std::size_t>(s.calibration);
        if (!r.training) r.count = std::min(r.count, of_.train_ids.size());
        for (std::uint32_t i : first_shuffled(r.seed, kCalibration, of_.train_ids.size(), r.count))
            r.ids.push_back(of_.train_ids[i]);
        return hold(r, true);
    }
    /// The first of a shuffle; in slices all, as they lie.
    std::unique_ptr<HeldPictures> evaluation() const {
        HeldRequest r = request();
        if (c_.search.evaluation == "slices") {
            r.ids = of_.held_ids;
        } else {
            for (std::uint32_t i :
                 first_shuffled(r.seed, kEvaluation, of_.held_ids.size(), static_cast<std::size_t>(c_.search.pictures)))
                r.ids.push_back(of_.held_ids[i]);
        }
        r.count = r.ids.size();
        return hold(r, of_.held_in_train);
    }

  private:
    HeldRequest request() const {
        HeldRequest r;
        r.seed = static_cast<std::uint64_t>(c_.run.seed);
        r.workers = c_.run.loader_workers;
        r.skip_corrupt = c_.data.skip_corrupt;
        r.poll = [] { stop_if_requested("pictures for the search were read"); };
        return r;
    }
    std::unique_ptr<HeldPictures> hold(const HeldRequest& r, bool train) const {
        const DType dtype = c_.train.dtype == "float64" ? DType::f64 : DType::f32;
        if (of_.files)
            return std::make_unique<HeldPictures>(device_, dtype, train ? of_.files->train : of_.files->test,
                                                  of_.pipeline, r);
        return std::make_unique<HeldPictures>(device_, dtype, train ? of_.set.train : of_.set.test, of_.set.classes,
                                              of_.norm, r);
    }
    const SposConfig& c_;
    const SposPictures& of_;
    Device& device_;
};

SearchLimits checked_limits(const SposConfig& c, const SposPictures& pictures, const chain::Space& space,
                            const OperatorLists& operators) {
    const SposSearchOptions& s = c.search;
    const std::size_t count = pictures.held_ids.size();
    const char* of = pictures.held_in_train ? "held-out" : "validation";
    NASCENT_CHECK(count >= static_cast<std::size_t>(s.batch), usage,
                  "the evaluation set has {} {} pictures, fewer than the {} of a batch: give a smaller --search-batch, "
                  "or a larger --holdout",
                  count, of, s.batch);
    NASCENT_CHECK(s.evaluation == "fixed" || count >= static_cast<std::size_t>(s.pictures), usage,
                  "the evaluation set has {} {} pictures, fewer than the {} of a slice (--pictures)", count, of,
                  s.pictures);
    NASCENT_CHECK(!pictures.train_ids.empty(), data, "there are no training pictures to calibrate with");
    return SearchLimits::of(s, space, operators);
}

}  // namespace

SearchPictures hold_pictures(const SposConfig& c, const SposPictures& pictures, Device& device) {
    const Held held(c, pictures, device);
    return {held.calibration(), held.evaluation()};
}

void check_search(const SposConfig& c, const SposPictures& pictures) {
    const chain::Space space = space_of(c, pictures.classes(), pictures.size());
    (void)checked_limits(c, pictures, space, operators_of(c, space));
}

void search_spos(const SposConfig& c, const SposPictures& pictures, RunDirectory& directory) {
    const std::optional<Checkpoint> found = directory.restore();
    std::int64_t first_step = 0;
    if (found) {
        const auto state = nlohmann::json::parse(found->state, nullptr, false);
        first_step = state.is_object() ? state.value("first_step", found->step) : found->step;
    }
    const chain::Space space = space_of(c, pictures.classes(), pictures.size());
    const OperatorLists operators = operators_of(c, space);
    const SearchLimits limits = checked_limits(c, pictures, space, operators);
    const auto device = run_device(c.run, c.train.precision);
    ChainNet net(*device, c.train.dtype == "float64" ? DType::f64 : DType::f32, supernet_of(c, space));
    const std::string path = c.search.checkpoint.empty() ? supernet_path(directory) : c.search.checkpoint;
    const StateDict state = StateDict::read(path);
    if (const auto named = state.metadata().find("space"); named != state.metadata().end())
        NASCENT_CHECK(named->second == space.name, usage,
                      "{}: a supernet of the space {}, expected one of {} (--space)", path, named->second, space.name);
    load(net, state, path);

    const SearchPictures held = hold_pictures(c, pictures, *device);
    const SposSearchInput input{
        .options = c.search,
        .process = c.run,
        .net = net,
        .calibration = held.calibration.get(),
        .evaluation = *held.evaluation,
        .limits = limits,
        .operators = operators,
        .pictures = fmt::format("{} of {} {} pictures", held.evaluation->count(), pictures.held_ids.size(),
                                pictures.held_in_train ? "held-out" : "validation"),
        .first_step = first_step,
        .target = target_of(*device)};
    SposSearch(input, directory, found).run();
}

}  // namespace nascent
