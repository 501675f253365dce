# The .cu files: as C++ over the emulator (kernels/simt) in every build, and compiled by nvcc where there is one.
set(NASCENT_CUDA AUTO CACHE STRING "Compile the kernels with nvcc too: AUTO (where it is found), ON (must be), OFF")
set_property(CACHE NASCENT_CUDA PROPERTY STRINGS AUTO ON OFF)
if(NOT NASCENT_CUDA STREQUAL "OFF")
    find_program(NASCENT_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
endif()
if(NASCENT_NVCC AND NOT NASCENT_CUDA STREQUAL "OFF")
    message(STATUS "CUDA: ${NASCENT_NVCC}")
    set(NASCENT_HAS_NVCC ON)
else()
    if(NOT NASCENT_CUDA MATCHES "^(AUTO|OFF)$")
        message(FATAL_ERROR "NASCENT_CUDA=${NASCENT_CUDA}, but there is no nvcc on the PATH, in CUDA_HOME or in /usr/local/cuda")
    endif()
    message(STATUS "CUDA: no nvcc in use (NASCENT_CUDA=${NASCENT_CUDA}); the kernels are compiled for the emulator alone")
    set(NASCENT_HAS_NVCC OFF)
endif()

# nascent_emulated(TARGET FILE.cu...): compiles the files as C++ into the target. To be called where the target was made,
# since a source has one language per directory. Misaligned wide accesses and indices past an array's end trap even in a
# build without sanitizers, which needs no library at run time.
function(nascent_emulated target)
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX)
    target_sources(${target} PRIVATE ${ARGN})
    # -fstack-clash-protection: a stack that is too small ends at its guard page, not behind it.
    target_compile_options(${target} PRIVATE -Wno-unknown-pragmas -fstack-clash-protection)
    get_target_property(libraries ${target} LINK_LIBRARIES)
    if(NOT NASCENT_SANITIZE AND NOT libraries MATCHES "nascent_simt_(memory|race)")
        target_compile_options(${target} PRIVATE -fsanitize=alignment,bounds -fsanitize-undefined-trap-on-error)
    endif()
endfunction()

# nascent_nvcc_test(FILE.cu...): a test each, that nvcc compiles the file for sm_90a without warnings and without spills.
function(nascent_nvcc_test)
    foreach(file IN LISTS ARGN)
        cmake_path(ABSOLUTE_PATH file OUTPUT_VARIABLE path)
        cmake_path(RELATIVE_PATH path BASE_DIRECTORY ${CMAKE_SOURCE_DIR} OUTPUT_VARIABLE name)
        add_test(NAME nvcc:${name} COMMAND ${CMAKE_COMMAND} -DNVCC=$<$<BOOL:${NASCENT_HAS_NVCC}>:${NASCENT_NVCC}> -DHOST=${CMAKE_CXX_COMPILER}
                 -DARCH=sm_90a -DROOT=${CMAKE_SOURCE_DIR} -DFILE=${name} -DOUT=${CMAKE_CURRENT_BINARY_DIR}
                 -P ${CMAKE_SOURCE_DIR}/cmake/nvcc_test.cmake)
        set_tests_properties(nvcc:${name} PROPERTIES TIMEOUT 600 SKIP_REGULAR_EXPRESSION "\\[SKIPPED\\]")
    endforeach()
endfunction()
