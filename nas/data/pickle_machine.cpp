// Opcodes: CPython's Lib/pickle.py and pickletools.py (protocols 0 to 5).
#include "nas/data/pickle_machine.h"

namespace nascent::pickle {
namespace {
// An ImageNet batch has about 130,000 nodes, all of ImageNet 1,300,000.
constexpr std::size_t max_nodes = std::size_t{1} << 22;
}  // namespace

Machine::Machine(Document& document) : document_(document) {
    none_ = make(Kind::none);
    true_ = make(Kind::boolean);
    true_->integer = 1;
    false_ = make(Kind::boolean);
    empty_ = make(Kind::tuple);
}

const Node* Machine::run() {
    for (;;) {
        opcode_at_ = at_;
        const std::uint8_t opcode = byte();
        if (opcode == '.') break;
        if (!step(opcode)) stop("opcode 0x{:02x} is not allowed", opcode);
    }
    if (stack_.size() != 1 || !marks_.empty()) stop("STOP with {} values on the stack, expected 1", stack_.size());
    if (at_ != document_.bytes_.size()) {
        stop("{} bytes follow the STOP, expected none", document_.bytes_.size() - at_);
    }
    return stack_[0];
}

std::uint8_t Machine::byte() { return static_cast<std::uint8_t>(take(1)[0]); }

std::uint64_t Machine::number(int bytes) {
    std::uint64_t v = 0;
    const std::string_view from = take(static_cast<std::uint64_t>(bytes));
    for (std::size_t i = from.size(); i-- > 0;) v = v << 8 | static_cast<std::uint8_t>(from[i]);
    return v;
}

std::string_view Machine::take(std::uint64_t size) {
    const std::size_t left = document_.bytes_.size() - at_;
    if (size > left) stop("{} more bytes are needed, the file has {}", size, left);
    const auto* from = reinterpret_cast<const char*>(document_.bytes_.data()) + at_;
    at_ += static_cast<std::size_t>(size);
    return {from, static_cast<std::size_t>(size)};
}

std::string_view Machine::line() {
    const std::string_view rest(reinterpret_cast<const char*>(document_.bytes_.data()) + at_,
                                document_.bytes_.size() - at_);
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) stop("a line that does not end");
    at_ += end + 1;
    return rest.substr(0, end);
}

Node* Machine::make(Kind kind) {
    if (document_.nodes_.size() >= max_nodes) stop("more than {} values", max_nodes);
    document_.nodes_.emplace_back().kind = kind;
    return &document_.nodes_.back();
}

// The stack cannot outgrow the file: every opcode pushes at most one value.
void Machine::push(Node* node) { stack_.push_back(node); }

void Machine::push_integer(std::int64_t value) {
    Node* node = make(Kind::integer);
    node->integer = value;
    push(node);
}

void Machine::push_text(Kind kind, std::string_view text) {
    Node* node = make(kind);
    node->text = text;
    push(node);
}

Node* Machine::top() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) stop("the stack has too few values");
    return stack_.back();
}

Node* Machine::pop() {
    Node* node = top();
    stack_.pop_back();
    return node;
}

std::vector<Node*> Machine::pop_to_mark() {
    if (marks_.empty()) stop("there is no mark");
    std::vector<Node*> out(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return out;
}

std::string_view Machine::own(std::string text) {
    // Raw Latin-1 doubles in UTF-8 and is halved again; an honest pickle decodes no string twice.
    owned_bytes_ += text.size();
    if (owned_bytes_ > 4 * document_.bytes_.size()) stop("decoded strings outgrow the file");
    return document_.owned_.emplace_back(std::move(text));
}

bool Machine::step(std::uint8_t opcode) {
    switch (opcode) {
        case 0x80: {  // PROTO
            const std::uint8_t version = byte();
            if (version > 5) stop("protocol {}, expected at most 5", version);
            return true;
        }
        case 0x95: {  // FRAME
            const std::uint64_t size = number(8);
            if (size > document_.bytes_.size() - at_) {
                stop("a frame of {} bytes, the file has {}", size, document_.bytes_.size() - at_);
            }
            return true;
        }
        case '(':
            marks_.push_back(stack_.size());
            return true;
        case '0':
            pop();
            return true;
        case '1':
            pop_to_mark();
            return true;
        case '2':
            push(top());
            return true;
        case 'N':
            push(none_);
            return true;
        case 0x88:
            push(true_);
            return true;
        case 0x89:
            push(false_);
            return true;
        case 'c': {
            const std::string_view module = line();
            global(module, line());
            return true;
        }
        case 0x93: {  // STACK_GLOBAL
            const Node* name = pop();
            const Node* module = pop();
            if (name->kind != Kind::text || module->kind != Kind::text) stop("a global whose name is no text");
            global(module->text, name->text);
            return true;
        }
        case 'R':
            reduce();
            return true;
        case 'b':
            build();
            return true;
        default:
            return step_number(opcode) || step_text(opcode) || step_container(opcode) || step_memo(opcode);
    }
}

void Machine::tuple_of(std::size_t n) {
    Node* node = make(Kind::tuple);
    node->items.resize(n);
    for (std::size_t i = n; i-- > 0;) node->items[i] = pop();
    push(node);
}

void Machine::fill_list(const std::vector<Node*>& from) {
    Node* list = top();
    if (list->kind != Kind::list) stop("a {} is appended to, expected a list", kind_name(list->kind));
    list->items.insert(list->items.end(), from.begin(), from.end());
}

void Machine::fill_dict(const std::vector<Node*>& from) {
    Node* dict = top();
    if (dict->kind != Kind::dict) stop("a {} is given items, expected a dict", kind_name(dict->kind));
    if (from.size() % 2 != 0) stop("a dict's key without a value");
    dict->items.insert(dict->items.end(), from.begin(), from.end());
}

void Machine::put(std::uint64_t key) { memo_[key] = top(); }

void Machine::get(std::uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) stop("memo {} was never stored", key);
    push(found->second);
}

}  // namespace nascent::pickle
