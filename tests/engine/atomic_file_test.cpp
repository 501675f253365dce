#include "engine/io/atomic_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>

#include "engine/base/error.h"
#include "engine/io/crc32.h"
#include "tests/temporary_folder.h"

using namespace nascent;
using test::read_text;
using test::TemporaryFolder;
using test::write_text;
namespace fs = std::filesystem;

namespace {
std::size_t entries(const std::string& folder) {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}
}  // namespace

TEST_CASE("atomic file: the name shows the old content until commit, then the new") {
    TemporaryFolder folder;
    write_file_atomic(folder / "f", "first");
    CHECK(read_file(folder / "f") == "first");
    {
        AtomicFile file(folder / "f");
        file.write("sec");
        file.write("ond");
        CHECK(read_file(folder / "f") == "first");
        CHECK(file.size() == 6);
        CHECK(file.crc32() == crc32("second"));
        for (const fs::directory_entry& e : fs::directory_iterator(folder.path())) {
            CHECK((e.path().filename() == "f" || is_temporary_name(e.path().filename().string())));
        }
        file.commit();
        CHECK_THROWS_AS(file.commit(), Error);
        CHECK_THROWS_AS(file.write("x"), Error);
    }
    CHECK(read_file(folder / "f") == "second");
    CHECK(entries(folder.path()) == 1);
}

TEST_CASE("atomic file: without commit nothing stays") {
    TemporaryFolder folder;
    { AtomicFile(folder / "f").write("half"); }
    CHECK(entries(folder.path()) == 0);
}

TEST_CASE("atomic file: errors name the path and the reason") {
    TemporaryFolder folder;
    CHECK_THROWS_WITH_AS(write_file_atomic(folder / "no/f", "x"), doctest::Contains("No such file or directory"),
                         Error);
    try {
        write_file_atomic(folder / "no/f", "x");
    } catch (const Error& e) {
        CHECK(e.kind() == ErrorKind::runtime);
        CHECK(std::string(e.what()).find(folder / "no/f") != std::string::npos);
    }
    fs::create_directory(folder / "d");
    CHECK_THROWS_AS(write_file_atomic(folder / "d", "x"), Error);  // a folder has the name
    CHECK(entries(folder.path()) == 1);
    CHECK_THROWS_WITH_AS(read_file(folder / "absent"), doctest::Contains("cannot open"), Error);
    CHECK_THROWS_WITH_AS(read_file(folder / "d"), doctest::Contains("Is a directory"), Error);
    write_text(folder / "big", std::string(100, 'x'));
    CHECK_THROWS_WITH_AS(read_file(folder / "big", 99), doctest::Contains("more than 99 bytes"), Error);
    CHECK(read_file(folder / "big", 100).size() == 100);
}

TEST_CASE("atomic file: a write that the system refuses leaves the old file and no temporary") {
    TemporaryFolder folder;
    write_text(folder / "f", "old");
    // A file size limit fails like a full disk (EFBIG for ENOSPC), in a child so that this process keeps its own.
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        rlimit limit{1000, 1000};
        setrlimit(RLIMIT_FSIZE, &limit);
        int code = 1;
        try {
            write_file_atomic(folder / "f", std::string(5000, 'x'));
        } catch (const Error& e) {
            const std::string what = e.what();
            if (e.kind() == ErrorKind::runtime && what.find("File too large") != std::string::npos) code = 0;
        }
        _exit(code);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    CHECK(read_text(folder / "f") == "old");
    CHECK(entries(folder.path()) == 1);
}

TEST_CASE("atomic folder: replaces an existing one as a whole") {
    TemporaryFolder folder;
    fs::create_directory(folder / "new");
    write_text(folder / "new/a", "1");
    replace_directory(folder / "new", folder / "final");
    CHECK(read_text(folder / "final/a") == "1");
    fs::create_directory(folder / "new");
    write_text(folder / "new/b", "2");
    replace_directory(folder / "new", folder / "final");
    CHECK(read_text(folder / "final/b") == "2");
    CHECK(!fs::exists(folder / "final/a"));
    CHECK(entries(folder.path()) == 1);
    CHECK_THROWS_AS(replace_directory(folder / "absent", folder / "final"), Error);
    CHECK(read_text(folder / "final/b") == "2");
}

TEST_CASE("atomic file: parents") {
    CHECK(parent_directory("a") == ".");
    CHECK(parent_directory("/a") == "/");
    CHECK(parent_directory("a/b/c") == "a/b");
}
