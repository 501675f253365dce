#include "engine/base/error.h"

#include <vector>

namespace nascent {
namespace {
thread_local std::vector<std::string> scopes;

std::string with_scope(const std::string& message) {
    std::string scope = Scope::current();
    return scope.empty() ? message : scope + ": " + message;
}
}  // namespace

Error::Error(ErrorKind kind, const std::string& message) : std::runtime_error(with_scope(message)), kind_(kind) {}

std::string Scope::current() {
    std::string all;
    for (const std::string& s : scopes) all += (all.empty() ? "" : " / ") + s;
    return all;
}

void Scope::push(std::string name) { scopes.push_back(std::move(name)); }
void Scope::pop() { scopes.pop_back(); }

}  // namespace nascent
