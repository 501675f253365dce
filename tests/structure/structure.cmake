# Tests of the sources themselves: every preset builds, every header compiles alone, includes point one way.
# Where warnings are errors they are so in the presets too: with the same flags the compiler's cache has most of the objects.
set(preset_flags)
if(CMAKE_COMPILE_WARNING_AS_ERROR)
    set(preset_flags -DCMAKE_COMPILE_WARNING_AS_ERROR=ON)
endif()
foreach(preset asan bench ci)
    # A preset's own build would have to build itself, and is built anyway.
    if(NOT CMAKE_BINARY_DIR STREQUAL "${CMAKE_SOURCE_DIR}/build/${preset}")
        add_test(NAME build:${preset}
                 COMMAND ${CMAKE_COMMAND} -DPRESET=${preset} -DSOURCE=${CMAKE_SOURCE_DIR} -DFLAGS=${preset_flags}
                         -P ${CMAKE_CURRENT_SOURCE_DIR}/structure/preset.cmake)
        set_tests_properties(build:${preset} PROPERTIES LABELS slow TIMEOUT 7200 RUN_SERIAL ON)
    endif()
endforeach()

add_test(NAME build:cuda
         COMMAND ${CMAKE_COMMAND} -DNVCC=$<${NASCENT_HAS_NVCC}:${NASCENT_NVCC}> -DSOURCE=${CMAKE_SOURCE_DIR} -DOUT=${CMAKE_CURRENT_BINARY_DIR}
                 -DFLAGS=${preset_flags} -P ${CMAKE_CURRENT_SOURCE_DIR}/structure/cuda_build.cmake)
set_tests_properties(build:cuda PROPERTIES LABELS slow TIMEOUT 7200 RUN_SERIAL ON SKIP_REGULAR_EXPRESSION "\\[SKIPPED\\]")

add_test(NAME structure:includes
         COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/structure/include_direction.py ${CMAKE_SOURCE_DIR})
add_test(NAME structure:includes:self
         COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/structure/include_direction.py --self-test)
add_test(NAME structure:references
         COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/structure/references.py ${CMAKE_SOURCE_DIR})
add_test(NAME structure:references:self
         COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/structure/references.py --self-test)

# One translation unit per header, so that a header that leans on what its users include first does not compile here. Of
# the presets, those without instrumentation suffice.
if(NASCENT_SANITIZE OR NASCENT_COVERAGE)
    return()
endif()
file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}
     ${CMAKE_SOURCE_DIR}/engine/*.h ${CMAKE_SOURCE_DIR}/kernels/*.h ${CMAKE_SOURCE_DIR}/ops/*.h
     ${CMAKE_SOURCE_DIR}/nas/*.h ${CMAKE_SOURCE_DIR}/apps/*.h ${CMAKE_SOURCE_DIR}/tests/*.h)
set(units)
foreach(header IN LISTS headers)
    set(unit ${CMAKE_CURRENT_BINARY_DIR}/headers/${header}.cpp)
    # Twice: the second one finds a missing include guard.
    file(CONFIGURE OUTPUT ${unit} CONTENT "#include \"${header}\"\n#include \"${header}\"\n" @ONLY)
    list(APPEND units ${unit})
endforeach()
add_library(header_check OBJECT ${units})
# What some test headers take from their target.
target_compile_definitions(header_check PRIVATE NASCENT_RLNAS="" NASCENT_KILL_SHIM="" NASCENT_GOLDEN="" NASCENT_DARTS_SEARCH="" NASCENT_SPOS="" NASCENT_SOURCE_DIR="" NASCENT_BINARY_DIR="")
target_link_libraries(header_check PRIVATE nascent_flags fmt::fmt random123 Threads::Threads Eigen3::Eigen CLI11::CLI11
    nlohmann_json::nlohmann_json doctest::doctest PkgConfig::hwy)
