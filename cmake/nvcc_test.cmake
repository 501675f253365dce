# cmake -DNVCC= -DHOST= -DARCH= -DROOT= -DFILE= -DOUT= -P nvcc_test.cmake: compiles one .cu file to a cubin, with warnings
# as errors, prints what each kernel takes, and fails if one spills registers.
if(NOT NVCC)
    message("[SKIPPED] ${FILE} is NOT compiled for ${ARCH}: there is no nvcc")
    return()
endif()
string(MAKE_C_IDENTIFIER ${FILE} name)
# -fmad=false: the same bits as the C++ build, in which fused multiply-adds are written out too.
execute_process(
    COMMAND ${NVCC} -ccbin ${HOST} -std=c++20 -arch=${ARCH} -cubin -O3 -fmad=false -Werror all-warnings -Xptxas -v -Xptxas -warn-spills
            -Xcompiler=-Wall,-Wextra,-Wno-unknown-pragmas -I${ROOT} ${ROOT}/${FILE} -o ${OUT}/${name}.cubin
    RESULT_VARIABLE result OUTPUT_VARIABLE text ERROR_VARIABLE text)
if(NOT result EQUAL 0)
    message(FATAL_ERROR "nvcc ${FILE}: ${text}")
endif()
string(REGEX MATCHALL "Compiling entry function[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*" kernels "${text}")
list(LENGTH kernels count)
if(count EQUAL 0)
    message(FATAL_ERROR "nvcc ${FILE}: ptxas reports no kernel:\n${text}")
endif()
foreach(kernel IN LISTS kernels)
    string(REGEX MATCH "function '([^']*)'" ignored "${kernel}")
    set(symbol ${CMAKE_MATCH_1})
    string(REGEX MATCH "Used [^\n]*" used "${kernel}")
    string(REGEX MATCH "[0-9]+ bytes spill stores" spilled "${kernel}")
    message("${symbol}: ${used}; ${spilled}")
endforeach()
if(text MATCHES "[1-9][0-9]* bytes spill")
    message(FATAL_ERROR "nvcc ${FILE}: registers are spilled")
endif()
