// What RLNAS does on a search space. A space is added by implementing this and naming it in rlnas_space.cpp.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "nas/algo/rlnas_config.h"
#include "nas/run/run_directory.h"

namespace nascent {

/// What came out, for people and for programs.
struct RlnasReport {
    std::string text, json;
    std::string files;  // of a run's export folder that it left, in words
    /// Writes arch.json and drawings into a folder; null where there are none.
    std::function<void(const std::string& folder)> write = nullptr;
};

class RlnasSpace {
  public:
    virtual ~RlnasSpace() = default;
    /// Trains to the end, from where the run stands; the initial and final state dicts are then in export/. A run that
    /// shrinks drops operators on the way, where the space has stages. Throws Error(interrupted) after writing a
    /// checkpoint when a signal came.
    virtual void train(const RlnasConfig& config, RunDirectory& directory) const = 0;
    /// Searches two state dict files. `directory`, if any, gets the files of the report, and where `resumable` the
    /// state of the search.
    virtual RlnasReport search(const RlnasConfig& config, const std::string& initial, const std::string& trained,
                               bool resumable, RunDirectory* directory) const = 0;
    /// The angles of so many random architectures (of NAS-Bench-201: of all), by run.seed, and what switches make of
    /// them; throws Error(usage) where the space does not offer it.
    virtual RlnasReport angles(const RlnasConfig& config, const std::string& initial, const std::string& trained,
                               int count) const;
    /// The shrunk space of two state dict files, written to `out` unless that is empty. Throws Error(usage) where the
    /// space has none, or is shrunk in stages.
    virtual RlnasReport shrink(const RlnasConfig& config, const std::string& initial, const std::string& trained,
                               const std::string& out) const;
    /// The shrunk space of a run that train() has worked through to the end.
    virtual RlnasReport shrunk(const RlnasConfig& config, RunDirectory& directory) const;
};

/// Throws Error(usage) for another name.
const RlnasSpace& rlnas_space(std::string_view name);

// Of one file each; rlnas_space() knows them by name.
const RlnasSpace& rlnas_nasbench201();
const RlnasSpace& rlnas_darts();
const RlnasSpace& rlnas_chains();

}  // namespace nascent
