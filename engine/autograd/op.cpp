#include "engine/autograd/op.h"

namespace nascent {
namespace {
std::vector<OpEntry>& registry() {
    static std::vector<OpEntry> entries;
    return entries;
}
}  // namespace

const std::vector<OpEntry>& registered_ops() { return registry(); }
bool register_op(const OpEntry& entry) {
    registry().push_back(entry);
    return true;
}

}  // namespace nascent
