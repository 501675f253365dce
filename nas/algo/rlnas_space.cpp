#include "nas/algo/rlnas_space.h"

#include "engine/base/error.h"
#include "nas/algo/rlnas.h"

namespace nascent {

RlnasReport RlnasSpace::angles(const RlnasConfig& config, const std::string&, const std::string&, int) const {
    fail(ErrorKind::usage, "angles lists random architectures of mobilenet, not of {}", config.space);
}

RlnasReport RlnasSpace::shrink(const RlnasConfig& config, const std::string&, const std::string&,
                               const std::string&) const {
    fail(ErrorKind::usage, "shrink drops operators of nasbench201 from two states, not of {}", config.space);
}

RlnasReport RlnasSpace::shrunk(const RlnasConfig& config, RunDirectory& directory) const {
    return shrink(config, initial_path(directory), trained_path(directory),
                  directory.export_folder() + "/shrunk_space.json");
}

const RlnasSpace& rlnas_space(std::string_view name) {
    if (name == "nasbench201") return rlnas_nasbench201();
    if (name == "darts") return rlnas_darts();
    NASCENT_CHECK(is_chain(std::string(name)), usage, "rlnas has no space '{}'", name);
    return rlnas_chains();
}

}  // namespace nascent
