# The gpu device: CUDA's, or the emulator's (kernels/simt), which runs the same .cu files as C++ on the CPU. Where nvcc is at
# hand, tests compile the .cu files with it in both cases.
set(NASCENT_CUDA AUTO CACHE STRING "The gpu device is CUDA's: AUTO (where nvcc is found), ON (must be), OFF (the emulator's)")
set_property(CACHE NASCENT_CUDA PROPERTY STRINGS AUTO ON OFF)
find_program(NASCENT_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
set(NASCENT_HAS_NVCC $<BOOL:${NASCENT_NVCC}>)
if(NASCENT_CUDA STREQUAL "ON" AND NOT NASCENT_NVCC)
    message(FATAL_ERROR "NASCENT_CUDA=ON, but there is no nvcc on the PATH, in CUDA_HOME or in /usr/local/cuda")
elseif(NASCENT_NVCC AND NOT NASCENT_CUDA STREQUAL "OFF")
    set(NASCENT_USE_CUDA ON)
    set(NASCENT_CUDA_ARCHITECTURES 90a CACHE STRING "Compute capabilities the kernels are compiled for")
    set(CMAKE_CUDA_COMPILER ${NASCENT_NVCC})
    set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
    set(CMAKE_CUDA_ARCHITECTURES ${NASCENT_CUDA_ARCHITECTURES})
    enable_language(CUDA)
    set(CMAKE_CUDA_EXTENSIONS ${CMAKE_CUDA_EXTENSIONS_DEFAULT})  # else CMake 3.25 adds -std=c++17
    find_package(CUDAToolkit REQUIRED)
    message(STATUS "gpu: CUDA ${CUDAToolkit_VERSION}, compute capability ${NASCENT_CUDA_ARCHITECTURES}")
else()
    set(NASCENT_USE_CUDA OFF)
    message(STATUS "gpu: the emulator (NASCENT_CUDA=${NASCENT_CUDA}, nvcc: ${NASCENT_NVCC})")
endif()

include(CMakeDependentOption)
cmake_dependent_option(NASCENT_KERNEL_RACES "ThreadSanitizer sees CUDA's threads as threads, too" ON "NASCENT_SANITIZE MATCHES thread" OFF)

# nascent_emulated(TARGET FILE.cu...): compiles the files as C++ into the target. To be called where the target was made,
# since a source has one language per directory. Misaligned wide accesses and indices past an array's end trap even in a
# build without sanitizers, which needs no library at run time.
function(nascent_emulated target)
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX)
    target_sources(${target} PRIVATE ${ARGN})
    # -fstack-clash-protection: a stack that is too small ends at its guard page, not behind it.
    target_compile_options(${target} PRIVATE -Wno-unknown-pragmas -fstack-clash-protection)
    get_target_property(libraries ${target} LINK_LIBRARIES)
    if(NASCENT_TRAFFIC OR libraries MATCHES "nascent_simt_traffic")
        # A call at every access, which nascent_simt answers (kernels/simt/traffic.cpp); no sanitizer.
        target_compile_options(${target} PRIVATE -fsanitize=kernel-address -U__SANITIZE_ADDRESS__ --param=asan-instrumentation-with-call-threshold=0
            --param=asan-stack=0 --param=asan-globals=0)
    elseif(NOT NASCENT_SANITIZE AND NOT libraries MATCHES "nascent_simt_(memory|race)")
        target_compile_options(${target} PRIVATE -fsanitize=alignment,bounds -fsanitize-undefined-trap-on-error)
    elseif(NASCENT_SANITIZE MATCHES "thread" AND NOT NASCENT_KERNEL_RACES)
        set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS -fno-sanitize=thread)  # after what the target inherits
    endif()
endfunction()

# nascent_tensor_test(FILE.cu...): a test each, that the file's kernels of tensor cores have them in their PTX and read 16 bytes
# at a time, and do not spill, for sm_80 and sm_90a.
function(nascent_tensor_test)
    foreach(name IN LISTS ARGN)
        add_test(NAME tensor:${name} COMMAND ${CMAKE_COMMAND} -DNVCC=$<${NASCENT_HAS_NVCC}:${NASCENT_NVCC}> -DHOST=${CMAKE_CXX_COMPILER}
                 -DROOT=${CMAKE_SOURCE_DIR} -DFILE=${name} -DOUT=${CMAKE_CURRENT_BINARY_DIR} -P ${CMAKE_SOURCE_DIR}/cmake/tensor_test.cmake)
        set_tests_properties(tensor:${name} PROPERTIES TIMEOUT 600 SKIP_REGULAR_EXPRESSION "\\[SKIPPED\\]")
    endforeach()
endfunction()

# nascent_nvcc_test(FILE.cu...): a test each, that nvcc compiles the file for sm_90a without warnings and without spills.
function(nascent_nvcc_test)
    foreach(file IN LISTS ARGN)
        cmake_path(ABSOLUTE_PATH file OUTPUT_VARIABLE path)
        cmake_path(RELATIVE_PATH path BASE_DIRECTORY ${CMAKE_SOURCE_DIR} OUTPUT_VARIABLE name)
        add_test(NAME nvcc:${name} COMMAND ${CMAKE_COMMAND} -DNVCC=$<${NASCENT_HAS_NVCC}:${NASCENT_NVCC}> -DHOST=${CMAKE_CXX_COMPILER}
                 -DARCH=sm_90a -DROOT=${CMAKE_SOURCE_DIR} -DFILE=${name} -DOUT=${CMAKE_CURRENT_BINARY_DIR}
                 -P ${CMAKE_SOURCE_DIR}/cmake/nvcc_test.cmake)
        set_tests_properties(nvcc:${name} PROPERTIES TIMEOUT 600 SKIP_REGULAR_EXPRESSION "\\[SKIPPED\\]")
    endforeach()
endfunction()
