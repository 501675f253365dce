// One table of options from which everything else follows: flags, --set, TOML files, help texts and the run.toml that
// alone reproduces a run. Whatever is not in the table is refused with the nearest name.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace nascent {

/// A setting bound to a field of somebody's plain struct.
struct Option {
    using Field = std::variant<bool*, int*, std::int64_t*, double*, std::string*>;
    std::string key;                   // "train.epochs": key epochs in the TOML section [train]
    std::string flag;                  // "--epochs"; booleans also have "--no-..."
    std::string help;                  // one line
    Field field;                       // of a struct that outlives the table
    double low, high;                  // of numbers, both allowed
    std::vector<std::string> allowed;  // of texts; empty: any
    std::string standard;              // the default, as text

    /// The field's value as it is written in TOML.
    std::string value() const;
    bool is_boolean() const { return std::holds_alternative<bool*>(field); }
    /// "integer 1..100000", "true|false", "coast|skip".
    std::string domain() const;
};

/// All errors are of kind usage and name the source ("FILE:LINE:COLUMN", "--set", "--epochs").
class OptionTable {
  public:
    /// The fields' present values are the defaults. Order is the order of help and run.toml; keys of a section must
    /// follow one another.
    void add(std::string key, std::string flag, bool& field, std::string help);
    void add(std::string key, std::string flag, int& field, int low, int high, std::string help);
    void add(std::string key, std::string flag, std::int64_t& field, std::int64_t low, std::string help);
    void add(std::string key, std::string flag, double& field, double low, double high, std::string help);
    void add(std::string key, std::string flag, std::string& field, std::string help);
    void add(std::string key, std::string flag, std::string& field, std::vector<std::string> allowed, std::string help);

    const std::vector<Option>& options() const { return options_; }
    /// The same options, of these keys only.
    OptionTable only(const std::vector<std::string>& keys) const;
    /// nullptr if there is none.
    const Option* find(std::string_view key) const;
    /// Reads `text` as the option's type and stores it; `source` begins the message where that cannot be.
    void set(std::string_view key, std::string_view text, const std::string& source);
    /// "key=value", as after --set.
    void assign(std::string_view assignment);
    /// Every key of a TOML document; `name` stands for the file in messages. Values must have the option's TOML type
    /// (an integer may stand for a real number).
    void parse_toml(std::string_view text, const std::string& name);
    void read_toml(const std::string& path);
    /// Every key with its present value and what it means: a document parse_toml() reads back to the same values.
    std::string to_toml() const;
    /// The table for people: flag, key, domain, default, help.
    std::string help() const;

  private:
    void insert(Option option);
    [[noreturn]] void unknown_key(std::string_view key, const std::string& source) const;
    std::vector<Option> options_;
};

/// ", did you mean X?", empty for no names.
std::string did_you_mean(std::string_view written, const std::vector<std::string>& names);

}  // namespace nascent
