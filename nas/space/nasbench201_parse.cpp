// Reading architectures as people write them.
#include <algorithm>
#include <cctype>
#include <optional>

#include "engine/base/error.h"
#include "nas/space/nasbench201.h"
#include "nas/space/nearest_name.h"

namespace nascent::nb201 {
namespace {

/// A text with a place in it; errors name both.
class Cursor {
  public:
    explicit Cursor(std::string_view text) : text_(text) {}
    void skip_space() {
        while (at_ < text_.size() && (std::isspace(static_cast<unsigned char>(text_[at_])) || text_[at_] == '\'' ||
                                      text_[at_] == '"' || text_[at_] == '`')) {
            ++at_;
        }
    }
    /// The next character that is no space, 0 at the end.
    char peek() {
        skip_space();
        return at_ < text_.size() ? text_[at_] : '\0';
    }
    bool take(char c) {
        if (peek() != c) return false;
        ++at_;
        return true;
    }
    std::string_view word() {
        skip_space();
        std::size_t from = at_;
        while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_')) ++at_;
        return text_.substr(from, at_ - from);
    }
    /// A run of digits as a number of at most nine of them; nothing (and no step) where there is none.
    std::optional<int> number() {
        skip_space();
        std::size_t from = at_;
        std::string_view digits = word();
        bool good = !digits.empty() && digits.size() <= 9 &&
                    std::all_of(digits.begin(), digits.end(), [](unsigned char c) { return std::isdigit(c); });
        if (!good) {
            at_ = from;
            return std::nullopt;
        }
        int value = 0;
        for (char c : digits) value = value * 10 + (c - '0');
        return value;
    }
    std::size_t place() const { return at_; }
    /// What stands at the place, for messages.
    std::string found() {
        char c = peek();
        return c ? fmt::format("found '{}'", c) : std::string("the text ends there");
    }
    template <class... Args>
    [[noreturn]] void fail_at(std::size_t place, fmt::format_string<Args...> format, Args&&... args) const {
        std::string shown(text_.substr(0, 200));
        for (char& c : shown) {
            if (std::iscntrl(static_cast<unsigned char>(c))) c = ' ';
        }
        if (text_.size() > 200) shown += "...";
        fail(ErrorKind::usage, "architecture '{}', column {}: {}", shown, place + 1,
             fmt::format(format, std::forward<Args>(args)...));
    }

  private:
    std::string_view text_;
    std::size_t at_ = 0;
};

Op read_op(Cursor& in) {
    in.skip_space();
    std::size_t place = in.place();
    std::string_view name = in.word();
    if (name.empty()) in.fail_at(place, "expected an operator such as nor_conv_3x3~0, {}", in.found());
    auto op = std::find(kOpNames.begin(), kOpNames.end(), name);
    if (op == kOpNames.end()) {
        in.fail_at(place, "no operator is called '{}'; nearest: {}", name.substr(0, 100), nearest_name(name, kOpNames));
    }
    return static_cast<Op>(op - kOpNames.begin());
}

/// Inputs of one node, up to the next '+' or the end.
std::vector<CellText::Input> read_node(Cursor& in, int node) {
    std::vector<CellText::Input> inputs;
    while (in.take('|')) {
    }
    while (in.peek() != '+' && in.peek() != '\0') {
        Op op = read_op(in);
        if (!in.take('~'))
            in.fail_at(in.place(), "expected '~' and the source node after {}, {}", op_name(op), in.found());
        in.skip_space();
        std::size_t place = in.place();
        std::optional<int> source = in.number();
        if (!source) in.fail_at(place, "expected the number of the source node after '~', {}", in.found());
        if (*source >= node) {
            in.fail_at(place, "node {} takes inputs from nodes 0..{}, not from {}", node, node - 1, *source);
        }
        inputs.push_back({op, *source});
        char next = in.peek();
        if (next != '|' && next != '+' && next != '\0') in.fail_at(in.place(), "expected '|' or '+', {}", in.found());
        while (in.take('|')) {
        }
    }
    if (inputs.empty()) in.fail_at(in.place(), "node {} has no input; expected an operator such as none~0", node);
    return inputs;
}

CellText read_cell(Cursor& in) {
    CellText cell;
    do {
        if (cell.nodes.size() == 64) in.fail_at(in.place(), "more than 64 nodes");
        cell.nodes.push_back(read_node(in, static_cast<int>(cell.nodes.size()) + 1));
    } while (in.take('+'));
    return cell;
}

Architecture read_index(Cursor& in) {
    std::size_t place = in.place();
    in.take('#');
    std::optional<int> index = in.number();
    if (!index || *index >= kArchitectures) in.fail_at(place, "expected # and an index 0..{}", kArchitectures - 1);
    if (in.peek()) in.fail_at(in.place(), "expected nothing after the index, {}", in.found());
    return from_official_index(*index);
}

Architecture read_tuple(Cursor& in) {
    Architecture arch;
    char close = in.take('(') ? ')' : in.take('[') ? ']' : '\0';
    for (std::size_t e = 0; e < kEdges; ++e) {
        if (e > 0 && !in.take(',')) {
            in.fail_at(in.place(), "expected ',' and operator number {} of {}, {}", e + 1, kEdges, in.found());
        }
        in.skip_space();
        std::size_t place = in.place();
        std::optional<int> op = in.number();
        if (!op || *op >= kOps) {
            in.fail_at(place, "expected an operator number 0..{} for edge {}<-{}, {}", kOps - 1, kEdgeList[e].to,
                       kEdgeList[e].from, op ? fmt::format("found {}", *op) : in.found());
        }
        arch.ops[e] = static_cast<Op>(*op);
    }
    if (close && !in.take(close))
        in.fail_at(in.place(), "expected '{}' after {} operators, {}", close, kEdges, in.found());
    if (in.peek()) in.fail_at(in.place(), "expected nothing after {} operators, {}", kEdges, in.found());
    return arch;
}

}  // namespace

CellText parse_cell(std::string_view text) {
    Cursor in(text);
    return read_cell(in);
}

Architecture parse_architecture(std::string_view text) {
    Cursor in(text);
    char first = in.peek();
    if (!first) in.fail_at(in.place(), "expected |op~0|+|op~0|op~1|+|op~0|op~1|op~2|, six numbers or #index");
    if (first == '#') return read_index(in);
    if (first == '(' || first == '[' || std::isdigit(static_cast<unsigned char>(first))) return read_tuple(in);

    // Node by node, so that an edge that is missing or there twice is reported where its node ends.
    Architecture arch;
    for (int node = 1; node < kNodes; ++node) {
        if (node > 1 && !in.take('+')) in.fail_at(in.place(), "expected '+' and node {}, {}", node, in.found());
        std::array<bool, kNodes> set{};
        for (auto [op, source] : read_node(in, node)) {
            auto s = static_cast<std::size_t>(source);
            if (set[s]) in.fail_at(in.place(), "node {} has two inputs from node {}; expected one", node, source);
            set[s] = true;
            arch.ops[static_cast<std::size_t>(edge_index(node, source))] = op;
        }
        for (int source = 0; source < node; ++source) {
            if (!set[static_cast<std::size_t>(source)]) {
                in.fail_at(in.place(), "node {} has no input from node {}; write none~{} for no edge", node, source,
                           source);
            }
        }
    }
    if (in.peek()) in.fail_at(in.place(), "expected nothing after node {}, {}", kNodes - 1, in.found());
    return arch;
}

}  // namespace nascent::nb201
