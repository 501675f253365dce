#include "engine/base/error.h"

#include <doctest/doctest.h>

#include <thread>

using namespace nascent;

TEST_CASE("error: exit codes are an interface") {
    CHECK(Error(ErrorKind::runtime, "").exit_code() == 1);
    CHECK(Error(ErrorKind::usage, "").exit_code() == 2);
    CHECK(Error(ErrorKind::data, "").exit_code() == 3);
    CHECK(Error(ErrorKind::checkpoint, "").exit_code() == 4);
    CHECK(Error(ErrorKind::device, "").exit_code() == 5);
    CHECK(Error(ErrorKind::verification, "").exit_code() == 6);
    CHECK(Error(ErrorKind::interrupted, "").exit_code() == 75);
}

TEST_CASE("error: a check that holds costs nothing, one that fails throws its message") {
    int formatted = 0;
    auto count = [&] { return ++formatted; };
    NASCENT_CHECK(true, data, "{}", count());
    CHECK(formatted == 0);
    CHECK_THROWS_WITH_AS(NASCENT_CHECK(1 > 2, data, "{} of {}", count(), "x"), "1 of x", Error);
    try {
        NASCENT_CHECK(false, device, "d");
    } catch (const Error& e) {
        CHECK(e.kind() == ErrorKind::device);
    }
}

TEST_CASE("error: messages carry the scopes they were thrown in, and scopes end with an exception") {
    CHECK(Scope::current() == "");
    try {
        Scope outer("cell {}", 3);
        Scope inner("edge {}", 1);
        CHECK(Scope::current() == "cell 3 / edge 1");
        fail(ErrorKind::runtime, "bad {}", "shape");
    } catch (const Error& e) {
        CHECK(std::string(e.what()) == "cell 3 / edge 1: bad shape");
    }
    CHECK(Scope::current() == "");
    CHECK_THROWS_WITH_AS(fail(ErrorKind::usage, "plain"), "plain", Error);
}

TEST_CASE("error: each thread has its own scopes") {
    Scope mine("main");
    std::string theirs = "unset";
    std::thread([&] {
        theirs = Scope::current();
        Scope inside("worker");
        theirs.append("|").append(Scope::current());
    }).join();
    CHECK(theirs == "|worker");
    CHECK(Scope::current() == "main");
}
