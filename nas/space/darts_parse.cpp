// Reading genotypes as people paste them.
#include <algorithm>
#include <optional>
#include <span>

#include "engine/base/error.h"
#include "nas/space/darts.h"
#include "nas/space/nearest_name.h"
#include "nas/space/text_cursor.h"

namespace nascent::darts {
namespace {

struct RawGene {
    int op, from;
};
struct State {
    int number;
    std::size_t place;  // in the text
};
struct RawCell {
    std::vector<RawGene> genes;
    std::vector<State> concat;
};

/// What differs between the two kinds of genotype.
struct Grammar {
    std::span<const std::string_view> ops;
    std::vector<std::string_view> fields;  // genes and concat of a cell in turn
    int inputs;                            // states that are there before the first node
    std::size_t per_node;                  // genes of a node
};

class Reader {
  public:
    Reader(std::string_view text, const Grammar& grammar)
        : in_(text, "genotype"), grammar_(grammar), cells_(grammar.fields.size() / 2), seen_(grammar.fields.size()) {}

    std::vector<RawCell> read() {
        const char close = open();
        for (;;) {
            in_.skip_space();
            if (close ? in_.take(close) : in_.only_quotes_left()) break;
            read_field();
            if (!in_.take(',') && in_.peek() != close && !(close == '\0' && in_.only_quotes_left())) {
                in_.fail_at(in_.place(), "expected ',' or {}, {}",
                            close ? fmt::format("'{}'", close) : "the end of the text", in_.found());
            }
        }
        while (in_.take(',') || in_.take(';') || in_.take_quote()) {
        }
        if (!in_.at_end()) in_.fail_at(in_.place(), "expected nothing after the genotype, {}", in_.found());
        for (std::size_t f = 0; f < seen_.size(); ++f) {
            if (!seen_[f]) in_.fail_at(in_.place(), "the genotype ends without '{}'", grammar_.fields[f]);
        }
        for (std::size_t c = 0; c < cells_.size(); ++c) check_concat(c);
        return std::move(cells_);
    }

  private:
    /// Steps over everything up to the first field; the bracket that ends the fields, 0 for none.
    char open() {
        if (in_.skip_past_call("Genotype")) return ')';
        while (in_.take_quote()) {
        }
        if (in_.take('(')) return ')';
        if (in_.take('{')) return '}';
        if (!in_.peek()) in_.fail_at(in_.place(), "expected Genotype({}=[...", grammar_.fields.front());
        return '\0';
    }

    /// Fields without names come in the order of the named tuple.
    void read_field() {
        std::size_t place = in_.place();
        std::size_t field = std::find(seen_.begin(), seen_.end(), false) - seen_.begin();
        const char quote = in_.take_quote();
        std::string_view name = in_.word();
        if (!quote && (name == "range" || name == "list")) {
            in_.go_to(place);
        } else if (!name.empty() || quote) {
            auto found = std::find(grammar_.fields.begin(), grammar_.fields.end(), name);
            if (found == grammar_.fields.end()) {
                in_.fail_at(place, "no field is called '{}'; nearest: {}", name.substr(0, 100),
                            nearest_name(name, grammar_.fields));
            }
            field = static_cast<std::size_t>(found - grammar_.fields.begin());
            if (quote) in_.close_quote(quote);
            if (!in_.take('=') && !in_.take(':'))
                in_.fail_at(in_.place(), "expected '=' after {}, {}", name, in_.found());
        }
        if (field == seen_.size()) in_.fail_at(place, "expected nothing after {} fields, {}", field, in_.found());
        if (seen_[field]) in_.fail_at(place, "'{}' is there twice", grammar_.fields[field]);
        seen_[field] = true;
        if (field % 2) {
            read_concat(cells_[field / 2].concat, grammar_.fields[field]);
        } else {
            read_genes(cells_[field / 2].genes, grammar_.fields[field]);
        }
    }

    char open_bracket(std::string_view what) {
        if (in_.take('[')) return ']';
        if (in_.take('(')) return ')';
        in_.fail_at(in_.place(), "expected '[' and {}, {}", what, in_.found());
    }

    void read_genes(std::vector<RawGene>& genes, std::string_view field) {
        const char close = open_bracket("pairs ('operator', state)");
        while (!in_.take(close)) {
            std::size_t place = in_.place();
            const char inner = open_bracket("a pair ('operator', state)");
            if (char c = in_.peek(); c == '(' || c == '[') {  // the genes of a node in brackets of their own
                const std::size_t before = genes.size();
                while (!in_.take(inner)) {
                    read_gene(genes, open_bracket("a pair ('operator', state)"), field);
                    separate(inner);
                }
                if (before % grammar_.per_node || genes.size() - before != grammar_.per_node) {
                    in_.fail_at(place, "{} pairs for node {} of {}; expected {}", genes.size() - before,
                                before / grammar_.per_node, field, grammar_.per_node);
                }
            } else {
                read_gene(genes, inner, field);
            }
            separate(close);
        }
        if (genes.empty() || genes.size() % grammar_.per_node) {
            in_.fail_at(in_.place() - 1, "{} has {} pairs; expected {} for each node", field, genes.size(),
                        grammar_.per_node);
        }
    }

    /// One pair, after its opening bracket.
    void read_gene(std::vector<RawGene>& genes, char close, std::string_view field) {
        const auto node = static_cast<int>(genes.size() / grammar_.per_node);
        if (node == kMaxNodes) in_.fail_at(in_.place(), "{} has more than {} nodes", field, kMaxNodes);
        in_.skip_space();
        std::size_t place = in_.place();
        const char quote = in_.take_quote();
        std::string_view name = in_.word();
        if (name.empty()) in_.fail_at(place, "expected an operator such as '{}', {}", grammar_.ops.back(), in_.found());
        auto op = std::find(grammar_.ops.begin(), grammar_.ops.end(), name);
        if (op == grammar_.ops.end()) {
            in_.fail_at(place, "no operator is called '{}'; nearest: {}", name.substr(0, 100),
                        nearest_name(name, grammar_.ops));
        }
        if (quote) in_.close_quote(quote);
        if (!in_.take(',')) in_.fail_at(in_.place(), "expected ',' and a state after {}, {}", name, in_.found());
        in_.skip_space();
        place = in_.place();
        std::optional<int> from = in_.number();
        if (!from) in_.fail_at(place, "expected the number of a state after {}, {}", name, in_.found());
        const int states = grammar_.inputs + node;
        if (*from >= states) {
            in_.fail_at(place, "node {} of {} reads states 0..{}, not {}", node, field, states - 1, *from);
        }
        in_.take(',');
        if (!in_.take(close)) {
            in_.fail_at(in_.place(), "expected '{}' after an operator and a state, {}", close, in_.found());
        }
        genes.push_back({static_cast<int>(op - grammar_.ops.begin()), *from});
    }

    /// A comma, unless the list ends.
    void separate(char close) {
        if (!in_.take(',') && in_.peek() != close)
            in_.fail_at(in_.place(), "expected ',' or '{}', {}", close, in_.found());
    }

    int state_number() {
        in_.skip_space();
        std::size_t place = in_.place();
        std::optional<int> number = in_.number();
        if (!number) in_.fail_at(place, "expected the number of a state, {}", in_.found());
        if (*number > kInputs + kMaxNodes) {
            in_.fail_at(place, "state {}; a cell has at most {} nodes", *number, kMaxNodes);
        }
        return *number;
    }

    void read_concat(std::vector<State>& concat, std::string_view field) {
        in_.skip_space();
        const std::size_t place = in_.place();
        const bool wrapped = in_.word() == "list";
        if (!wrapped) in_.go_to(place);
        if (wrapped && !in_.take('(')) in_.fail_at(in_.place(), "expected '(' after list, {}", in_.found());
        read_states(concat, field);
        if (wrapped && !in_.take(')')) in_.fail_at(in_.place(), "expected ')' after list(..., {}", in_.found());
        if (concat.empty()) in_.fail_at(place, "{} names no state; expected at least one", field);
    }

    void read_states(std::vector<State>& concat, std::string_view field) {
        in_.skip_space();
        const std::size_t place = in_.place();
        if (in_.word() == "range") {
            if (!in_.take('(')) in_.fail_at(in_.place(), "expected '(' after range, {}", in_.found());
            int first = 0, end = state_number();
            if (in_.take(',') && in_.peek() != ')') {
                first = end;
                end = state_number();
                in_.take(',');
            }
            if (!in_.take(')'))
                in_.fail_at(in_.place(), "expected ')' after range({}, {}, {}", first, end, in_.found());
            for (int state = first; state < end; ++state) concat.push_back({state, place});
        } else {
            in_.go_to(place);
            const char close = open_bracket("states, or range(first, end)");
            while (!in_.take(close)) {
                in_.skip_space();
                std::size_t at = in_.place();
                concat.push_back({state_number(), at});
                if (concat.size() > kInputs + kMaxNodes) in_.fail_at(at, "{} has too many states", field);
                separate(close);
            }
        }
    }

    /// Reduction cells halve the maps, so that their inputs do not fit beside the nodes; a recurrent cell's state 0
    /// does.
    void check_concat(std::size_t cell) const {
        const auto nodes = static_cast<int>(cells_[cell].genes.size() / grammar_.per_node);
        const int first = cell == 1 ? grammar_.inputs : 0, last = grammar_.inputs + nodes - 1;
        for (const State& state : cells_[cell].concat) {
            if (state.number < first || state.number > last) {
                in_.fail_at(state.place, "{} can hold states {}..{}, not {}", grammar_.fields[2 * cell + 1], first,
                            last, state.number);
            }
        }
    }

    TextCursor in_;
    const Grammar& grammar_;
    std::vector<RawCell> cells_;
    std::vector<bool> seen_;
};

std::vector<int> numbers(const std::vector<State>& states) {
    std::vector<int> all;
    for (const State& s : states) all.push_back(s.number);
    return all;
}

}  // namespace

Genotype parse_genotype(std::string_view text) {
    static const Grammar grammar{kOpNames, {"normal", "normal_concat", "reduce", "reduce_concat"}, kInputs, 2};
    const std::vector<RawCell> cells = Reader(text, grammar).read();
    auto genes = [](const RawCell& cell) {
        std::vector<Gene> all;
        for (auto [op, from] : cell.genes) all.push_back({static_cast<Op>(op), from});
        return all;
    };
    return {genes(cells[0]), numbers(cells[0].concat), genes(cells[1]), numbers(cells[1].concat)};
}

RecurrentGenotype parse_recurrent(std::string_view text) {
    static const Grammar grammar{kRecurrentOpNames, {"recurrent", "concat"}, 1, 1};
    const std::vector<RawCell> cells = Reader(text, grammar).read();
    RecurrentGenotype genotype;
    for (auto [op, from] : cells[0].genes) genotype.recurrent.push_back({op, from});
    genotype.concat = numbers(cells[0].concat);
    return genotype;
}

}  // namespace nascent::darts
