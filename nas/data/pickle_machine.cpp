// Opcodes: CPython's Lib/pickle.py and pickletools.py (protocols 0 to 5).
#include "nas/data/pickle_machine.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

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

bool Machine::step_number(std::uint8_t opcode) {
    switch (opcode) {
        case 'K':
            push_integer(byte());
            return true;
        case 'M':
            push_integer(static_cast<std::int64_t>(number(2)));
            return true;
        case 'J':
            push_integer(static_cast<std::int32_t>(number(4)));
            return true;
        case 'I': {
            const std::string_view text = line();
            if (text == "00" || text == "01") {
                push(text == "01" ? true_ : false_);
            } else {
                push_integer(decimal(text));
            }
            return true;
        }
        case 'L': {
            std::string_view text = line();
            if (!text.empty() && text.back() == 'L') text.remove_suffix(1);
            push_integer(decimal(text));
            return true;
        }
        case 0x8a:    // LONG1
        case 0x8b: {  // LONG4
            const std::string_view digits = take(number(opcode == 0x8a ? 1 : 4));
            if (digits.size() > 8) stop("an int of {} bytes, expected at most 8", digits.size());
            std::uint64_t v = !digits.empty() && (digits.back() & 0x80) != 0 ? ~std::uint64_t{0} : 0;
            for (std::size_t i = digits.size(); i-- > 0;) v = v << 8 | static_cast<std::uint8_t>(digits[i]);
            push_integer(static_cast<std::int64_t>(v));
            return true;
        }
        case 'G': {  // BINFLOAT, big-endian
            std::uint64_t v = 0;
            for (char c : take(8)) v = v << 8 | static_cast<std::uint8_t>(c);
            Node* node = make(Kind::real);
            node->real = std::bit_cast<double>(v);
            push(node);
            return true;
        }
        case 'F': {
            const std::string_view text = line();
            double value = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            if (error != std::errc() || end != text.data() + text.size()) stop("a malformed float");
            Node* node = make(Kind::real);
            node->real = value;
            push(node);
            return true;
        }
        default:
            return false;
    }
}

bool Machine::step_text(std::uint8_t opcode) {
    switch (opcode) {
        case 'S':
            push_text(Kind::bytes, own(unquote(line())));
            return true;
        case 'V':
            push_text(Kind::text, own(raw_unicode(line())));
            return true;
        case 'T': {  // BINSTRING: a signed length
            const auto size = static_cast<std::int32_t>(number(4));
            if (size < 0) stop("a string of {} bytes", size);
            push_text(Kind::bytes, take(static_cast<std::uint64_t>(size)));
            return true;
        }
        case 'U':
        case 'C':
            push_text(Kind::bytes, take(number(1)));
            return true;
        case 'B':
            push_text(Kind::bytes, take(number(4)));
            return true;
        case 0x8e:  // BINBYTES8
        case 0x96:
            push_text(Kind::bytes, take(number(8)));
            return true;  // BYTEARRAY8
        case 0x8c:
            push_text(Kind::text, take(number(1)));
            return true;  // SHORT_BINUNICODE
        case 'X':
            push_text(Kind::text, take(number(4)));
            return true;
        case 0x8d:
            push_text(Kind::text, take(number(8)));
            return true;  // BINUNICODE8
        default:
            return false;
    }
}

bool Machine::step_container(std::uint8_t opcode) {
    switch (opcode) {
        case ')':
            push(empty_);
            return true;
        case ']':
            push(make(Kind::list));
            return true;
        case '}':
            push(make(Kind::dict));
            return true;
        case 0x85:
        case 0x86:
        case 0x87:
            tuple_of(opcode - 0x84u);
            return true;
        case 't': {
            const std::vector<Node*> from = pop_to_mark();
            Node* node = make(Kind::tuple);
            node->items.assign(from.begin(), from.end());
            push(node);
            return true;
        }
        case 'l':
        case 'd': {
            const std::vector<Node*> from = pop_to_mark();
            push(make(opcode == 'l' ? Kind::list : Kind::dict));
            opcode == 'l' ? fill_list(from) : fill_dict(from);
            return true;
        }
        case 'a': {
            Node* value = pop();
            fill_list({value});
            return true;
        }
        case 'e':
            fill_list(pop_to_mark());
            return true;
        case 's': {
            Node* value = pop();
            Node* key = pop();
            fill_dict({key, value});
            return true;
        }
        case 'u':
            fill_dict(pop_to_mark());
            return true;
        default:
            return false;
    }
}

bool Machine::step_memo(std::uint8_t opcode) {
    const auto index = [&] {
        const std::int64_t v = decimal(line());
        if (v < 0) stop("memo index {}", v);
        return static_cast<std::uint64_t>(v);
    };
    switch (opcode) {
        case 'p':
            put(index());
            return true;
        case 'q':
            put(number(1));
            return true;
        case 'r':
            put(number(4));
            return true;
        case 0x94:
            put(memo_.size());
            return true;  // MEMOIZE
        case 'g':
            get(index());
            return true;
        case 'h':
            get(number(1));
            return true;
        case 'j':
            get(number(4));
            return true;
        default:
            return false;
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
