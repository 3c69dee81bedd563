# SPDX-License-Identifier: BSD-3-Clause
# libnitro-attest, as a relying party has it.
#   cmake --install BUILD --component attest --prefix PREFIX
include(GNUInstallDirs)
file(RELATIVE_PATH PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" PC_TO_PREFIX "${PC_TO_PREFIX}")

get_target_property(attest_sources nitro_attest SOURCES)
set(map ${CMAKE_CURRENT_SOURCE_DIR}/nitro-attest.map)
foreach(kind SHARED STATIC)
	string(TOLOWER nitro-attest-${kind} target)
	add_library(${target} ${kind} ${attest_sources})
	set_target_properties(${target} PROPERTIES OUTPUT_NAME nitro-attest
		POSITION_INDEPENDENT_CODE ON SOVERSION 0
		VERSION ${PROJECT_VERSION} LINK_DEPENDS ${map})
	target_link_libraries(${target}
		PRIVATE PkgConfig::CRYPTO PkgConfig::CBOR)
	install(TARGETS ${target} COMPONENT attest
		DESTINATION ${CMAKE_INSTALL_LIBDIR})
endforeach()
target_link_options(nitro-attest-shared PRIVATE -Wl,--version-script=${map})
configure_file(nitro-attest.pc.in nitro-attest.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/nitro-attest.pc COMPONENT attest
	DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES nitro-attest.h COMPONENT attest
	DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

# The example, built with everything else so that it cannot rot.
add_executable(attest_check examples/attest_check.c)
target_include_directories(attest_check PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(attest_check PRIVATE nitro_attest)
