// The stack machine behind pickle::Document.
#pragma once
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/base/error.h"
#include "nas/data/pickle.h"

namespace nascent::pickle {

class Machine {
  public:
    explicit Machine(Document& document);
    /// Runs to the STOP and returns what it leaves.
    const Node* run();

  private:
    // Reading; every one throws when the file has too few bytes.
    std::uint8_t byte();
    std::uint64_t number(int bytes);  // little-endian
    std::string_view take(std::uint64_t size);
    std::string_view line();
    template <class... Args>
    [[noreturn]] void stop(fmt::format_string<Args...> format, Args&&... args) const {
        fail(ErrorKind::data, "{}: byte {}: {}", document_.name_, opcode_at_,
             fmt::format(format, std::forward<Args>(args)...));
    }

    // Nodes.
    Node* make(Kind kind);
    void push(Node* node);
    void push_integer(std::int64_t value);
    void push_text(Kind kind, std::string_view text);
    Node* pop();
    Node* top();
    std::vector<Node*> pop_to_mark();
    std::string_view own(std::string text);

    // Opcodes.
    bool step(std::uint8_t opcode);  // false when it is none of these groups
    bool step_number(std::uint8_t opcode);
    bool step_text(std::uint8_t opcode);
    bool step_container(std::uint8_t opcode);
    bool step_memo(std::uint8_t opcode);
    void tuple_of(std::size_t n);
    void fill_list(const std::vector<Node*>& from);
    void fill_dict(const std::vector<Node*>& from);
    void put(std::uint64_t key);
    void get(std::uint64_t key);
    void global(std::string_view module, std::string_view name);
    void reduce();
    void build();
    Node* make_dtype(const Node& arguments);
    Node* make_scalar(const Node& arguments);
    void fill_array(Node& array, const Node* shape, const Node* dtype, bool column_major, const Node* data);
    std::int64_t decimal(std::string_view text) const;
    std::string unquote(std::string_view text) const;
    std::string raw_unicode(std::string_view text) const;
    std::string latin1(std::string_view utf8) const;

    Document& document_;
    std::size_t at_ = 0, opcode_at_ = 0;
    std::size_t owned_bytes_ = 0;
    std::vector<Node*> stack_;
    std::vector<std::size_t> marks_;
    std::unordered_map<std::uint64_t, Node*> memo_;
    Node *none_, *true_, *false_, *empty_;
};

}  // namespace nascent::pickle
