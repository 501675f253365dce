// The golden program on files it cannot use. That it computes what golden files say is seen with the files at hand.
#include <doctest/doctest.h>

#include <cstdlib>

#include "tests/temporary_folder.h"

using namespace nascent::test;

namespace {

int golden(const std::string& arguments, std::string* out = nullptr) {
    TemporaryFolder folder;
    const std::string to = folder / "out";
    const int status = std::system((std::string(NASCENT_GOLDEN) + " " + arguments + " > " + to + " 2>&1").c_str());
    if (out) *out = read_text(to);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("golden says what is wrong with a file, an entry and a command") {
    TemporaryFolder folder;
    std::string out;
    CHECK(golden("--help") == 0);
    CHECK(golden("") == 2);
    CHECK(golden("--device tpu x.json") == 2);
    CHECK(golden(folder / "absent.json", &out) == 3);
    CHECK(out.find("absent.json") != std::string::npos);
    CHECK(golden(folder.path(), &out) == 3);  // nothing in it
    write_text(folder / "cut.json", "{\"search_C4_L5\": {");
    CHECK(golden(folder / "cut.json", &out) == 3);
    CHECK(out.find("cut.json") != std::string::npos);
    write_text(folder / "cut.json", "{\"rule\": \"\", \"search_C4_L5\": {\"loss\": 1}}");
    CHECK(golden(folder / "cut.json", &out) == 3);
    CHECK(out.find("search_C4_L5") != std::string::npos);
    write_text(folder / "cut.json", "{\"spos_subnet_arch_REDME\": {}}");
    CHECK(golden(folder / "cut.json", &out) == 3);
    CHECK(out.find("arch_README") != std::string::npos);
    write_text(folder / "cut.json", "{\"serach_C4_L5\": {}}");
    CHECK(golden(folder / "cut.json", &out) == 6);
    CHECK(out.find("unknown kind") != std::string::npos);
    write_text(folder / "cut.json", "{\"evnas_supernet\": {}}");
    CHECK(golden(folder.path(), &out) == 6);
    CHECK(out.find("not yet") != std::string::npos);
}

TEST_CASE("golden agrees with the published code's operators, search network, alphas' gradients and schedules") {
    std::string out;
    const int code = golden(NASCENT_SOURCE_DIR "/tests/golden/darts.json", &out);
    INFO(out);
    CHECK(code == 0);
    // The second order counts twice: in two passes and as a twin.
    CHECK(out.find("7 entries, 2858 numbers, 0 wrong, 0 not yet") != std::string::npos);
}

TEST_CASE("golden agrees with PC-DARTS's network, mixed op and shuffle") {
    std::string out;
    const int code = golden(NASCENT_SOURCE_DIR "/tests/golden/pcdarts.json", &out);
    INFO(out);
    CHECK(code == 0);
    CHECK(out.find("4 entries, 734 numbers, 0 wrong, 0 not yet") != std::string::npos);
}

TEST_CASE("golden agrees with DrNAS's gradients and learning rates and with the benchmark's list") {
    std::string out;
    const int code = golden(NASCENT_SOURCE_DIR "/tests/golden/drnas.json", &out);
    INFO(out);
    CHECK(code == 0);
    CHECK(out.find("3 entries, ") != std::string::npos);
    CHECK(out.find(" 0 wrong, 0 not yet") != std::string::npos);
}

TEST_CASE("golden agrees with the published supernets and networks of blocks of SPOS and AngleNAS") {
    std::string out;
    const int code = golden(NASCENT_SOURCE_DIR "/tests/golden/spos.json", &out);
    INFO(out);
    CHECK(code == 0);
    CHECK(out.find("8 entries, 810 numbers, 0 wrong, 0 not yet") != std::string::npos);
}

TEST_CASE("golden notices numbers that disagree") {
    TemporaryFolder folder;
    std::string out, zeros;
    for (int i = 0; i < 10; i++) zeros += i ? ",0" : "0";
    std::string alphas;
    for (int i = 0; i < 112; i++) alphas += i ? ",0" : "0";
    write_text(folder / "wrong.json",
               "{\"search_C4_L5\": {\"logits\": [" + zeros + "], \"loss\": 2, \"wgrad_norm\": 5, \"dalpha_normal\": [" +
                   alphas + "], \"dalpha_reduce\": [" + alphas +
                   "], \"genotype\": \"\", \"nparams\": 136182, \"eval_logits\": [" + zeros + "]}}");
    CHECK(golden(folder / "wrong.json", &out) == 6);
    INFO(out);
    CHECK(out.find("248 numbers, 247 wrong") != std::string::npos);  // all but the number of parameters
}
