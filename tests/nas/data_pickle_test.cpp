// The pickle reader on what Python writes, and on what no honest Python writes.
#include <cstdlib>

#include "engine/base/rng.h"
#include "nas/data/pickle.h"
#include "tests/nas/data_testing.h"

using namespace nascent;
using namespace nascent::testing;
using pickle::Document;
using pickle::Kind;

namespace {
Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

std::string refusal(const std::string& text) {
    return error_of(ErrorKind::data, [&] { Document(bytes_of(text), "p.pkl"); });
}

struct Sample {
    const char* name;
    const char* hex;
};
// {'data': uint8 array [[0, 50, 100], [150, 200, 250]], 'labels': [1, 1000, -3]} as CPython 3.11 with NumPy 1.24 writes
// it (pickle.dumps), and in the opcodes of Python 2 (read back with pickle.loads(encoding='latin1')). In protocol 1 the
// data are Fortran-ordered and the labels an int64 array; in protocol 5 the labels are NumPy scalars.
const Sample samples[] = {
    {"py3 protocol 0",
     "286470300a56646174610a70310a636e756d70792e636f72652e6d756c746961727261790a5f7265636f6e7374727563740a"
     "70320a28636e756d70790a6e6461727261790a70330a2849300a7470340a635f636f646563730a656e636f64650a70350a28"
     "56620a70360a566c6174696e310a70370a7470380a5270390a747031300a527031310a2849310a2849320a49330a74703132"
     "0a636e756d70790a64747970650a7031330a285675310a7031340a4930300a4930310a747031350a527031360a2849330a56"
     "7c0a7031370a4e4e4e492d310a492d310a49300a747031380a624930300a67350a28565c7530303030326496c8fa0a703139"
     "0a67370a747032300a527032310a747032320a6273566c6162656c730a7032330a286c7032340a49310a6149313030300a61"
     "492d330a6173566d65616e0a7032350a67320a2867330a2849300a747032360a67390a747032370a527032380a2849310a28"
     "49310a747032390a6731330a285666380a7033300a4930300a4930310a747033310a527033320a2849330a563c0a7033330a"
     "4e4e4e492d310a492d310a49300a747033340a624930300a67350a28565c75303030305c75303030305c75303030305c7530"
     "3030305c75303030305c7530303030e03f0a7033350a67370a747033360a527033370a747033380a62732e"},
    {"py3 protocol 1",
     "7d7100285804000000646174617101636e756d70792e636f72652e6d756c746961727261790a5f7265636f6e737472756374"
     "0a710228636e756d70790a6e6461727261790a7103284b00747104635f636f646563730a656e636f64650a71052858010000"
     "0062710658060000006c6174696e31710774710852710974710a52710b284b01284b024b0374710c636e756d70790a647479"
     "70650a710d2858020000007531710e4930300a4930310a74710f527110284b0358010000007c71114e4e4e4affffffff4aff"
     "ffffff4b00747112624930310a680528580900000000c29632c38864c3ba711368077471145271157471166258060000006c"
     "6162656c7371176802286803284b00747118680974711952711a284b01284b0374711b680d2858020000006938711c493030"
     "0a4930310a74711d52711e284b0358010000003c711f4e4e4e4affffffff4affffffff4b00747120624930300a6805285821"
     "0000000100000000000000c3a803000000000000c3bdc3bfc3bfc3bfc3bfc3bfc3bfc3bf7121680774712252712374712462"
     "5804000000666c61677125284930310a4e474004000000000000747126752e"},
    {"py3 protocol 2",
     "80027d7100285804000000646174617101636e756d70792e636f72652e6d756c746961727261790a5f7265636f6e73747275"
     "63740a7102636e756d70790a6e6461727261790a71034b00857104635f636f646563730a656e636f64650a71055801000000"
     "62710658060000006c6174696e31710786710852710987710a52710b284b014b024b0386710c636e756d70790a6474797065"
     "0a710d58020000007531710e898887710f527110284b0358010000007c71114e4e4e4affffffff4affffffff4b0074711262"
     "8968055809000000003264c296c388c3ba711368078671145271157471166258060000006c6162656c7371175d7118284b01"
     "4de8034afdffffff6558040000006d65616e7119680268034b0085711a680987711b52711c284b014b0185711d680d580200"
     "00006638711e898887711f527120284b0358010000003c71214e4e4e4affffffff4affffffff4b0074712262896805580900"
     "0000000000000000c3a03f7123680786712452712574712662752e"},
    {"py3 protocol 3",
     "80037d7100285804000000646174617101636e756d70792e636f72652e6d756c746961727261790a5f7265636f6e73747275"
     "63740a7102636e756d70790a6e6461727261790a71034b008571044301627105877106527107284b014b024b03867108636e"
     "756d70790a64747970650a710958020000007531710a898887710b52710c284b0358010000007c710d4e4e4e4affffffff4a"
     "ffffffff4b0074710e6289430600326496c8fa710f7471106258060000006c6162656c7371115d7112284b014de8034afdff"
     "ffff6558040000006d65616e7113680268034b008571146805877115527116284b014b018571176809580200000066387118"
     "898887711952711a284b0358010000003c711b4e4e4e4affffffff4affffffff4b0074711c62894308000000000000e03f71"
     "1d74711e62752e"},
    {"py3 protocol 4",
     "80049503010000000000007d94288c0464617461948c156e756d70792e636f72652e6d756c74696172726179948c0c5f7265"
     "636f6e7374727563749493948c056e756d7079948c076e6461727261799493944b0085944301629487945294284b014b024b"
     "03869468058c0564747970659493948c02753194898887945294284b038c017c944e4e4e4affffffff4affffffff4b007494"
     "6289430600326496c8fa947494628c066c6162656c73945d94284b014de8034afdffffff658c046d65616e94680468074b00"
     "8594680987945294284b014b018594680e8c02663894898887945294284b038c013c944e4e4e4affffffff4affffffff4b00"
     "749462894308000000000000e03f94749462752e"},
    {"py3 protocol 5",
     "8005954b010000000000007d94288c0464617461948c126e756d70792e636f72652e6e756d65726963948c0b5f66726f6d62"
     "75666665729493942896060000000000000000326496c8fa948c056e756d7079948c0564747970659493948c027531948988"
     "87945294284b038c017c944e4e4e4affffffff4affffffff4b007494624b024b0386948c014394749452948c066c6162656c"
     "73945d94288c156e756d70792e636f72652e6d756c74696172726179948c067363616c617294939468088c02693894898887"
     "945294284b038c013c944e4e4e4affffffff4affffffff4b00749462430801000000000000009486945294681668088c0269"
     "3294898887945294284b03681a4e4e4e4affffffff4affffffff4b007494624302e8039486945294681668088c0269349489"
     "8887945294284b03681a4e4e4e4affffffff4affffffff4b007494624304fdffffff948694529465752e"},
    {"py2 p2",
     "80027d7101285504646174617102636e756d70792e636f72652e6d756c746961727261790a5f7265636f6e7374727563740a"
     "7103636e756d70790a6e6461727261790a71044b008571055501627106877107527108284b014b024b03867109636e756d70"
     "790a64747970650a710a55027531710b4b004b0187710c52710d284b0355017c710e4e4e4e4affffffff4affffffff4b0074"
     "710f6289540600000000326496c8fa71107471116255066c6162656c7371125d7113284b014de8034afdffffff65752e"},
    {"py2 p0",
     "286470310a532764617461270a70320a636e756d70792e636f72652e6d756c746961727261790a5f7265636f6e7374727563"
     "740a70330a28636e756d70790a6e6461727261790a70340a2849300a74532762270a745270350a2849310a2849320a49330a"
     "74636e756d70790a64747970650a70360a2853277531270a49300a49310a745270370a2849330a53277c270a4e4e4e492d31"
     "0a492d310a49300a74624930300a53275c78303032645c7839365c7863385c786661270a74627353276c6162656c73270a28"
     "6c70380a49310a6149313030300a614c2d334c0a61732e"},
};

std::vector<int> row_major(const pickle::Array& a) {
    std::vector<int> out;
    for (std::size_t i = 0; i < a.shape[0]; i++) {
        for (std::size_t j = 0; j < a.shape[1]; j++) {
            const std::size_t at = a.column_major ? j * a.shape[0] + i : i * a.shape[1] + j;
            out.push_back(static_cast<std::uint8_t>(a.data[at]));
        }
    }
    return out;
}
}  // namespace

TEST_CASE("data: pickles of every protocol, Python 2 and 3") {
    for (const Sample& sample : samples) {
        CAPTURE(sample.name);
        const Document document(bytes_of(from_hex(sample.hex)), sample.name);
        const pickle::Array a = document.array(document.at(document.root(), "data"));
        CHECK(a.shape == std::vector<std::size_t>{2, 3});
        CHECK(a.type == 'u');
        CHECK(a.item_bytes == 1);
        CHECK(row_major(a) == std::vector<int>{0, 50, 100, 150, 200, 250});
        CHECK(document.integers(document.at(document.root(), "labels")) == std::vector<std::int64_t>{1, 1000, -3});
        CHECK(
            contains(error_of(ErrorKind::data, [&] { document.at(document.root(), "nothing"); }), "no key 'nothing'"));
    }
}

TEST_CASE("data: a pickle cut at any byte is an error") {
    for (const Sample& sample : samples) {
        const std::string whole = from_hex(sample.hex);
        for (std::size_t size = 0; size < whole.size(); size++) {
            CHECK_MESSAGE(contains(refusal(whole.substr(0, size)), "p.pkl: byte "), sample.name << " cut at " << size);
        }
        CHECK(contains(refusal(whole + "x"), "1 bytes follow the STOP"));
    }
}

TEST_CASE("data: a pickle with any byte changed is read or refused, no more") {
    int refused = 0;
    for (const Sample& sample : samples) {
        const std::string whole = from_hex(sample.hex);
        for (std::size_t at = 0; at < whole.size(); at++) {
            for (int k = 0; k < 8; k++) {
                std::string changed = whole;
                changed[at] =
                    static_cast<char>(Random(7, RandomStream::test, at, static_cast<std::uint32_t>(k)).word(0));
                try {
                    const Document document(bytes_of(changed), "p");
                    const auto& data = document.at(document.root(), "data");
                    if (data.kind == Kind::array) document.array(data);
                    document.integers(document.at(document.root(), "labels"));
                } catch (const Error& error) {
                    CHECK(error.kind() == ErrorKind::data);
                    refused++;
                }
            }
        }
    }
    CHECK(refused > 1000);
}

TEST_CASE("data: a pickle runs nothing") {
    TemporaryFolder folder;
    const std::string command = "touch " + folder / "ran";
    // os.system(command), in the opcodes of protocols 0, 2 and 4; and what else can call or import.
    CHECK(contains(refusal("cos\nsystem\n(S'" + command + "'\ntR."), "the global 'os.system' is not allowed"));
    CHECK(contains(refusal("\x80\x02"
                           "cposix\nsystem\nX" +
                           std::string("\x05\0\0\0", 4) + "touch\x85R."),
                   "'posix.system'"));
    CHECK(contains(refusal("\x80\x04\x8c\x08"
                           "builtins\x8c\x04"
                           "eval\x93\x8c\x01"
                           "1\x85R."),
                   "'builtins.eval'"));
    CHECK(contains(refusal("(S'touch'\nios\nsystem\n."), "opcode 0x69 is not allowed"));  // INST
    CHECK(contains(refusal("(cnumpy\nndarray\no."), "opcode 0x6f is not allowed"));       // OBJ
    CHECK(contains(refusal("cnumpy\nndarray\n)\x81."), "opcode 0x81 is not allowed"));    // NEWOBJ
    CHECK(contains(refusal("\x82\x01."), "opcode 0x82 is not allowed"));                  // EXT1
    CHECK(contains(refusal("Pid\n."), "opcode 0x50 is not allowed"));                     // PERSID
    CHECK(contains(refusal("\x97."), "opcode 0x97 is not allowed"));                      // NEXT_BUFFER
    CHECK(contains(refusal("cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\nI0\nS'b'\ntR."), "plain ndarray"));
    CHECK(contains(refusal("cnumpy\nndarray\n(I0\ntR."), "REDUCE of 'numpy.ndarray'"));
    CHECK(contains(refusal("c_codecs\nencode\n(Vx\nVrot13\ntR."), "latin1"));
    CHECK(contains(refusal("c__builtin__\nbytes\n(I100000000\ntR."), "REDUCE of '__builtin__.bytes'"));
    CHECK(!std::filesystem::exists(folder / "ran"));
}

TEST_CASE("data: lengths a pickle cannot have take no memory") {
    const std::string huge(8, '\x7f');
    for (const std::string opcode :
         {"T\xff\xff\xff\x7f", "X\xff\xff\xff\xff", "B\xff\xff\xff\xff", "\x8b\xff\xff\xff\x7f"}) {
        CHECK(contains(refusal(opcode + "abc."), "more bytes are needed"));
    }
    for (const std::string opcode : {"\x8d", "\x8e", "\x96"}) {
        CHECK(contains(refusal(opcode + huge + "abc."), "more bytes are needed"));
    }
    CHECK(contains(refusal("\x95" + huge + "."), "a frame of"));
    CHECK(contains(refusal("T\xff\xff\xff\xff."), "a string of -1 bytes"));
    CHECK(contains(refusal("L99999999999999999999L\n."), "malformed int"));
    CHECK(contains(refusal("g7\n."), "memo 7 was never stored"));
    CHECK(contains(refusal("."), "STOP with 0 values"));
    CHECK(contains(refusal("((t."), "STOP with"));
    CHECK(contains(refusal("0."), "too few values"));
    CHECK(contains(refusal("e."), "no mark"));
    CHECK(contains(refusal("K\x01(0."), "too few values"));  // below the mark lies what is not its own
    CHECK(contains(refusal("}(K\x01u."), "key without a value"));
    CHECK(contains(refusal("K\x01K\x02"
                           "a."),
                   "expected a list"));

    // One string decoded again and again would be quadratic.
    std::string again = "V" + std::string(4000, 'x') + "\np0\n0";
    for (int i = 0; i < 500; i++) again += "c_codecs\nencode\n(g0\nVlatin1\ntR0";
    CHECK(contains(refusal(again + "N."), "outgrow the file"));
}

TEST_CASE("data: nesting and cycles cost no stack") {
    std::string deep = ")";
    for (int i = 0; i < 1'000'000; i++) deep += '\x85';
    const Document nested(bytes_of(deep + "."), "deep");
    CHECK(nested.root().kind == Kind::tuple);
    const Document cycle(bytes_of("]q" + std::string("\0h\0a.", 5)), "cycle");
    REQUIRE(cycle.root().items.size() == 1);
    CHECK(cycle.root().items[0] == &cycle.root());
}

TEST_CASE("data: an array whose shape and bytes disagree is refused") {
    const auto array_error = [](const std::string& shape, const std::string& data) {
        const std::string text = "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n" + shape +
                                 "cnumpy\ndtype\n(S'i8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'" + data +
                                 "'\ntb.";
        const Document document(bytes_of(text), "a");
        return error_of(ErrorKind::data, [&] { document.array(document.root()); });
    };
    CHECK(array_error("(I2\nt", "0123456789abcdef") == "");
    CHECK(contains(array_error("(I2\nt", "0123456789abcde"), "has 15 bytes, expected 16"));
    CHECK(contains(array_error("(I4611686018427387904\nI4\nt", ""), "larger than the file"));
    CHECK(contains(array_error("(I-1\nt", ""), "negative"));
    CHECK(contains(array_error("(S'x'\nt", ""), "holds a bytes"));
    // Never built.
    const Document bare(bytes_of("cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR."), "a");
    CHECK(contains(error_of(ErrorKind::data, [&] { bare.array(bare.root()); }), "expected a NumPy array"));
}
