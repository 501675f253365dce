#include "nas/data/pickle.h"

#include <bit>
#include <cstring>

#include "engine/base/error.h"
#include "nas/data/pickle_machine.h"

namespace nascent::pickle {

const char* kind_name(Kind kind) {
    static constexpr const char* names[] = {"None",  "bool", "int",  "float",  "str",   "bytes",
                                            "tuple", "list", "dict", "global", "dtype", "array"};
    return names[static_cast<std::size_t>(kind)];
}

Document::Document(Bytes bytes, std::string name) : bytes_(std::move(bytes)), name_(std::move(name)) {
    root_ = Machine(*this).run();
}

const Node& Document::at(const Node& dict, std::string_view key) const {
    NASCENT_CHECK(dict.kind == Kind::dict, data, "{}: holds a {}, expected a dict", name_, kind_name(dict.kind));
    for (std::size_t i = dict.items.size(); i >= 2; i -= 2) {
        const Node& k = *dict.items[i - 2];
        if ((k.kind == Kind::text || k.kind == Kind::bytes) && k.text == key) return *dict.items[i - 1];
    }
    fail(ErrorKind::data, "{}: the dict has no key '{}'", name_, key);
}

Array Document::array(const Node& node) const {
    NASCENT_CHECK(node.kind == Kind::array && node.items.size() == 2, data, "{}: found a {}, expected a NumPy array",
                  name_, kind_name(node.kind));
    const Node& dtype = *node.items[1];
    Array out{{}, dtype.type, dtype.order, static_cast<std::size_t>(dtype.integer), node.column_major, node.text};
    unsigned __int128 bytes = out.item_bytes;
    for (const Node* n : node.items[0]->items) {
        NASCENT_CHECK(n->kind == Kind::integer && n->integer >= 0, data, "{}: an array's shape holds a {}", name_,
                      n->kind == Kind::integer ? "negative number" : kind_name(n->kind));
        out.shape.push_back(static_cast<std::size_t>(n->integer));
        bytes *= static_cast<std::uint64_t>(n->integer);
        NASCENT_CHECK(bytes <= bytes_.size(), data, "{}: an array is declared larger than the file of {} bytes", name_,
                      bytes_.size());
    }
    NASCENT_CHECK(bytes == out.data.size(), data, "{}: an array has {} bytes, expected {} from its shape", name_,
                  out.data.size(), static_cast<std::size_t>(bytes));
    return out;
}

std::vector<std::int64_t> Document::integers(const Node& node) const {
    std::vector<std::int64_t> out;
    if (node.kind == Kind::list || node.kind == Kind::tuple) {
        out.reserve(node.items.size());
        for (const Node* n : node.items) {
            NASCENT_CHECK(n->kind == Kind::integer, data, "{}: item {} of a list is a {}, expected an int", name_,
                          out.size(), kind_name(n->kind));
            out.push_back(n->integer);
        }
        return out;
    }
    NASCENT_CHECK(node.kind == Kind::array, data, "{}: found a {}, expected a list or an array of ints", name_,
                  kind_name(node.kind));
    const Array a = array(node);
    NASCENT_CHECK(a.shape.size() == 1 && (a.type == 'u' || a.type == 'i') && a.order != '>' && a.item_bytes >= 1 &&
                      a.item_bytes <= 8,
                  data, "{}: an array of {} dimensions and dtype {}{}{}, expected one of little-endian ints", name_,
                  a.shape.size(), a.order, a.type, a.item_bytes);
    out.reserve(a.shape[0]);
    for (std::size_t i = 0; i < a.shape[0]; i++) {
        std::uint64_t v = 0;
        for (std::size_t b = a.item_bytes; b-- > 0;)
            v = v << 8 | static_cast<std::uint8_t>(a.data[i * a.item_bytes + b]);
        const int unused = 64 - 8 * static_cast<int>(a.item_bytes);
        out.push_back(a.type == 'i' ? static_cast<std::int64_t>(v << unused) >> unused : static_cast<std::int64_t>(v));
    }
    return out;
}

}  // namespace nascent::pickle
