// The opcodes that push numbers and text, fill containers and use the memo; see pickle_machine.cpp for the rest.
#include <bit>
#include <charconv>

#include "nas/data/pickle_machine.h"

namespace nascent::pickle {

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

}  // namespace nascent::pickle
