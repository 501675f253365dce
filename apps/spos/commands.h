// What each of spos's commands does, once the command line is understood.
#pragma once
#include <string>

namespace nascent::spos {

struct CostRequest {
    std::string arch;  // an architecture, the name of a published one, or the path of a file with one
    std::string space = "shufflenet";
    int size = 0, classes = 0;  // 0: ImageNet's
};
/// Parameters and multiply-accumulates in every convention, as JSON.
void cost(const CostRequest& request);
/// The published architectures of a space, or of all where `space` is empty, with their costs: a JSON object a line.
void list(const std::string& space);

}  // namespace nascent::spos
