# Flags that every target shares.
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()
find_program(CCACHE ccache)
if(CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(nascent_flags INTERFACE)
target_compile_features(nascent_flags INTERFACE cxx_std_20)
target_include_directories(nascent_flags INTERFACE ${CMAKE_SOURCE_DIR})
# -Wno-restrict: g++ 12 warns of std::string concatenation (PR105651).
# -ffp-contract=off: the same source gives the same bits whatever the optimiser joins; fused multiply-adds are written out.
target_compile_options(nascent_flags INTERFACE -Wall -Wextra -Wshadow -Wno-psabi -Wno-restrict -ffp-contract=off
                       $<$<CXX_COMPILER_ID:Clang>:-Wno-unknown-warning-option>)  # those are g++'s
if(NASCENT_SANITIZE)
    target_compile_options(nascent_flags INTERFACE -fsanitize=${NASCENT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    # g++ 12 warns of std::regex, only under sanitizers (PR105562).
    target_compile_options(nascent_flags INTERFACE -Wno-maybe-uninitialized)
    target_link_options(nascent_flags INTERFACE -fsanitize=${NASCENT_SANITIZE})
endif()
if(NASCENT_FUZZ)
    target_compile_options(nascent_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(NASCENT_COVERAGE)
    # Not the kernels and the emulator, whose lines nobody counts: threads that count the rounds of inner loops together
    # would make a training take a hundred times as long. They are compiled as in every other build of their type.
    set(counted "$<NOT:$<BOOL:$<TARGET_PROPERTY:NASCENT_UNCOUNTED>>>")
    target_compile_options(nascent_flags INTERFACE $<${counted}:--coverage> $<${counted}:-fprofile-update=atomic>
                           $<${counted}:-O1>)
    target_link_options(nascent_flags INTERFACE --coverage)
endif()
if(NASCENT_CHECKED OR NASCENT_SANITIZE OR CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_definitions(nascent_flags INTERFACE NASCENT_CHECKED=1 _GLIBCXX_ASSERTIONS)
endif()
