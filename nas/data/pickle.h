// A reader of Python pickles (protocols 0 to 5) that builds a tree and runs nothing.
//
// Of the opcodes, those that plain data and NumPy arrays need; of the globals, only those by which NumPy arrays,
// scalars and dtypes and Python 3's bytes in old protocols are written. They are recognised by name and built here;
// everything else is refused by name. Every length is checked against what is left of the file before it is used, and
// nothing in the file can make the reader take more than a fixed multiple of the file's length.
#pragma once
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nas/data/file.h"

namespace nascent::pickle {

enum class Kind : std::uint8_t { none, boolean, integer, real, text, bytes, tuple, list, dict, global, dtype, array };

const char* kind_name(Kind kind);

struct Node {
    Kind kind = Kind::none;
    bool column_major = false;  // array: Fortran order
    char type = 0;              // dtype: 'u', 'i', 'f' or 'b'
    char order = '|';           // dtype: '<', '>' or '|'
    std::int64_t integer = 0;   // integer, boolean; dtype: bytes of an item
    double real = 0;
    std::string_view text;           // text (UTF-8), bytes, the global's "module.name", an array's items
    std::vector<const Node*> items;  // tuple, list; dict: key, value, key, value; array: shape (tuple), dtype
};

/// An array after its BUILD, checked: product of the shape * item bytes == data.size().
struct Array {
    std::vector<std::size_t> shape;
    char type = 0;
    char order = '|';
    std::size_t item_bytes = 0;
    bool column_major = false;
    std::string_view data;
};

/// Owns the file's bytes and every node; nodes refer to each other freely (a pickle may hold cycles).
class Document {
  public:
    /// Throws Error(data) that names `name`, the byte and what was expected. Nothing may follow the STOP.
    Document(Bytes bytes, std::string name);
    Document(const Document&) = delete;
    Document& operator=(const Document&) = delete;
    const Node& root() const { return *root_; }
    const std::string& name() const { return name_; }

    /// The value of a key that is text or bytes; of repeated keys the last. Throws when `dict` is no dict or lacks it.
    const Node& at(const Node& dict, std::string_view key) const;
    /// A finished array. Throws when the node is none.
    Array array(const Node& node) const;
    /// A list or tuple of ints, or a one-dimensional array of little-endian ints. Throws when the node is none.
    std::vector<std::int64_t> integers(const Node& node) const;

  private:
    friend class Machine;
    Bytes bytes_;
    std::string name_;
    std::deque<Node> nodes_;
    std::deque<std::string> owned_;  // what had to be decoded; all else is a view of bytes_
    const Node* root_ = nullptr;
};

}  // namespace nascent::pickle
