// The few objects a pickle may build: NumPy arrays, scalars and dtypes, and bytes written by old protocols; and the
// text forms of protocol 0.
#include <algorithm>
#include <array>
#include <bit>
#include <charconv>

#include "nas/data/pickle_machine.h"

namespace nascent::pickle {
namespace {
constexpr std::array<std::string_view, 11> allowed = {
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.numeric._frombuffer",
    "numpy._core.numeric._frombuffer",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.ndarray",
    "numpy.dtype",
    "_codecs.encode",
    "__builtin__.bytes",
    "builtins.bytes",
};

bool is_text(const Node* node) { return node->kind == Kind::text || node->kind == Kind::bytes; }

void append_utf8(std::string& out, std::uint32_t code) {
    if (code < 0x80) {
        out += static_cast<char>(code);
    } else if (code < 0x800) {
        out += {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
    } else if (code < 0x10000) {
        out += {static_cast<char>(0xE0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3F)),
                static_cast<char>(0x80 | (code & 0x3F))};
    } else {
        out += {static_cast<char>(0xF0 | code >> 18), static_cast<char>(0x80 | (code >> 12 & 0x3F)),
                static_cast<char>(0x80 | (code >> 6 & 0x3F)), static_cast<char>(0x80 | (code & 0x3F))};
    }
}

/// `digits` hex digits at text[at], or -1.
std::int64_t hex(std::string_view text, std::size_t at, std::size_t digits) {
    if (text.size() < at + digits) return -1;
    std::uint32_t v = 0;
    const char* end = text.data() + at + digits;
    const auto [stopped, error] = std::from_chars(text.data() + at, end, v, 16);
    return error == std::errc() && stopped == end ? std::int64_t{v} : -1;
}
}  // namespace

void Machine::global(std::string_view module, std::string_view name) {
    const std::string full = std::string(module) + "." + std::string(name);
    const auto found = std::find(allowed.begin(), allowed.end(), full);
    if (found == allowed.end()) {
        stop("the global '{}' is not allowed; only NumPy arrays and plain data are read", full.substr(0, 200));
    }
    push_text(Kind::global, *found);
}

void Machine::reduce() {
    const Node* arguments = pop();
    const Node* function = pop();
    if (function->kind != Kind::global || arguments->kind != Kind::tuple) {
        stop("REDUCE of a {} with a {}", kind_name(function->kind), kind_name(arguments->kind));
    }
    const std::string_view name = function->text.substr(function->text.rfind('.') + 1);
    const std::vector<const Node*>& a = arguments->items;
    if (name == "_reconstruct") {
        const bool plain = a.size() == 3 && a[0]->kind == Kind::global && a[0]->text == "numpy.ndarray";
        if (!plain) stop("_reconstruct of something else than a plain ndarray");
        push(make(Kind::array));  // filled by the BUILD that follows
    } else if (name == "_frombuffer") {
        if (a.size() != 4 || !is_text(a[3])) stop("_frombuffer without (buffer, dtype, shape, order)");
        Node* node = make(Kind::array);
        fill_array(*node, a[2], a[1], a[3]->text == "F", a[0]);
        push(node);
    } else if (name == "dtype") {
        push(make_dtype(*arguments));
    } else if (name == "scalar") {
        push(make_scalar(*arguments));
    } else if (name == "encode") {
        const bool latin = a.size() == 2 && a[0]->kind == Kind::text && is_text(a[1]) &&
                           (a[1]->text == "latin1" || a[1]->text == "latin-1");
        if (!latin) stop("_codecs.encode of something else than (text, 'latin1')");
        push_text(Kind::bytes, own(latin1(a[0]->text)));
    } else if (name == "bytes" && a.empty()) {
        push_text(Kind::bytes, {});
    } else {
        stop("REDUCE of '{}' with {} arguments", function->text, a.size());
    }
}

void Machine::build() {
    const Node* state = pop();
    Node* object = top();
    const std::vector<const Node*>& s = state->items;
    if (state->kind == Kind::tuple && object->kind == Kind::dtype) {
        // (version, byte order, ...)
        if (s.size() < 2 || !is_text(s[1]) || s[1]->text.size() != 1) stop("a dtype's state without a byte order");
        const char order = s[1]->text[0];
        if (order != '<' && order != '>' && order != '|' && order != '=') stop("a dtype of byte order '{}'", order);
        object->order = order == '=' ? '<' : order;
    } else if (state->kind == Kind::tuple && object->kind == Kind::array) {
        // (version, shape, dtype, is Fortran, bytes)
        if (s.size() != 5 || (s[3]->kind != Kind::boolean && s[3]->kind != Kind::integer)) {
            stop("an array's state without (version, shape, dtype, order, bytes)");
        }
        fill_array(*object, s[1], s[2], s[3]->integer != 0, s[4]);
    } else {
        stop("BUILD of a {} with a {}", kind_name(object->kind), kind_name(state->kind));
    }
}

Node* Machine::make_dtype(const Node& arguments) {
    const std::vector<const Node*>& a = arguments.items;
    static constexpr std::array<std::string_view, 12> names = {"u1", "u2", "u4", "u8", "i1", "i2",
                                                               "i4", "i8", "f2", "f4", "f8", "b1"};
    if (a.empty() || !is_text(a[0])) stop("a dtype without a name");
    const bool known = a[0]->text.size() == 2 && std::find(names.begin(), names.end(), a[0]->text) != names.end();
    if (!known) stop("a dtype '{}', expected one of numbers", a[0]->text.substr(0, 40));
    Node* node = make(Kind::dtype);
    node->type = a[0]->text[0];
    node->integer = a[0]->text[1] - '0';
    return node;
}

Node* Machine::make_scalar(const Node& arguments) {
    const std::vector<const Node*>& a = arguments.items;
    const bool integer = a.size() == 2 && a[0]->kind == Kind::dtype && (a[0]->type == 'i' || a[0]->type == 'u') &&
                         a[0]->order != '>' && a[1]->kind == Kind::bytes &&
                         a[1]->text.size() == static_cast<std::size_t>(a[0]->integer);
    if (!integer) stop("a NumPy scalar that is no little-endian int");
    std::uint64_t v = 0;
    for (std::size_t i = a[1]->text.size(); i-- > 0;) v = v << 8 | static_cast<std::uint8_t>(a[1]->text[i]);
    const int unused = 64 - 8 * static_cast<int>(a[0]->integer);
    Node* node = make(Kind::integer);
    node->integer = a[0]->type == 'i' ? static_cast<std::int64_t>(v << unused) >> unused : static_cast<std::int64_t>(v);
    return node;
}

void Machine::fill_array(Node& array, const Node* shape, const Node* dtype, bool column_major, const Node* data) {
    if (shape->kind != Kind::tuple) stop("an array's shape is a {}, expected a tuple", kind_name(shape->kind));
    if (dtype->kind != Kind::dtype) stop("an array's dtype is a {}", kind_name(dtype->kind));
    if (data->kind != Kind::bytes) stop("an array's items are a {}, expected bytes", kind_name(data->kind));
    array.items = {shape, dtype};
    array.column_major = column_major;
    array.text = data->text;
}

std::int64_t Machine::decimal(std::string_view text) const {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) stop("a malformed int, or one beyond 64 bits");
    return value;
}

// A Python 2 str as its repr(): 'a\x00\'\n'.
std::string Machine::unquote(std::string_view text) const {
    const bool quoted = text.size() >= 2 && (text[0] == '\'' || text[0] == '"') && text.back() == text[0];
    if (!quoted) stop("a string without quotes");
    text = text.substr(1, text.size() - 2);
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); i++) {
        if (text[i] != '\\') {
            out += text[i];
            continue;
        }
        if (++i >= text.size()) stop("a string that ends in a backslash");
        static constexpr std::string_view letters = "\\'\"nrtabfv", meant = "\\'\"\n\r\t\a\b\f\v";
        if (const std::size_t k = letters.find(text[i]); k != std::string_view::npos) {
            out += meant[k];
        } else if (text[i] == 'x' && hex(text, i + 1, 2) >= 0) {
            out += static_cast<char>(hex(text, i + 1, 2));
            i += 2;
        } else {
            stop("an unknown escape in a string");
        }
    }
    return out;
}

// raw-unicode-escape: \uXXXX, \UXXXXXXXX, everything else Latin-1.
std::string Machine::raw_unicode(std::string_view text) const {
    std::string out;
    for (std::size_t i = 0; i < text.size(); i++) {
        if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == 'u' || text[i + 1] == 'U')) {
            const std::size_t digits = text[i + 1] == 'u' ? 4 : 8;
            const std::int64_t code = hex(text, i + 2, digits);
            if (code < 0 || code > 0x10FFFF) stop("a malformed \\u escape");
            append_utf8(out, static_cast<std::uint32_t>(code));
            i += 1 + digits;
        } else {
            append_utf8(out, static_cast<std::uint8_t>(text[i]));
        }
    }
    return out;
}

std::string Machine::latin1(std::string_view utf8) const {
    std::string out;
    out.reserve(utf8.size());
    for (std::size_t i = 0; i < utf8.size(); i++) {
        const auto c = static_cast<std::uint8_t>(utf8[i]);
        if (c < 0x80) {
            out += utf8[i];
            continue;
        }
        // U+0080..U+00FF are C2 xx and C3 xx.
        const bool two =
            (c == 0xC2 || c == 0xC3) && i + 1 < utf8.size() && (static_cast<std::uint8_t>(utf8[i + 1]) & 0xC0) == 0x80;
        if (!two) stop("text that is not Latin-1");
        out += static_cast<char>((c & 3) << 6 | (static_cast<std::uint8_t>(utf8[++i]) & 0x3F));
    }
    return out;
}

}  // namespace nascent::pickle
