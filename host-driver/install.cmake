# SPDX-License-Identifier: BSD-3-Clause
# libnitro-host and libnitro-host-scan, as a driver's author has them.  They are
# the room's files with the few of firmware/rt that those need.
#   cmake --install BUILD --component host --prefix PREFIX
include(GNUInstallDirs)
file(RELATIVE_PATH PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" PC_TO_PREFIX "${PC_TO_PREFIX}")

get_target_property(host_sources host_driver SOURCES)
set(rt ${PROJECT_SOURCE_DIR}/firmware/rt)
set(map ${CMAKE_CURRENT_SOURCE_DIR}/nitro-host.map)

# host_library(NAME sources…): NAME.so and NAME.a, installed.
function(host_library name)
	foreach(kind SHARED STATIC)
		string(TOLOWER ${name}-${kind} target)
		add_library(${target} ${kind} ${ARGN})
		set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
			POSITION_INDEPENDENT_CODE ON SOVERSION 0
			VERSION ${PROJECT_VERSION} LINK_DEPENDS ${map})
		install(TARGETS ${target} COMPONENT host
			DESTINATION ${CMAKE_INSTALL_LIBDIR})
	endforeach()
	target_link_options(${name}-shared PRIVATE -Wl,--version-script=${map})
	configure_file(${name}.pc.in ${name}.pc @ONLY)
	install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc COMPONENT host
		DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

host_library(nitro-host ${host_sources} ${rt}/clock.c ${rt}/error.c)
target_link_libraries(nitro-host-shared PRIVATE PkgConfig::JANSSON)
target_link_libraries(nitro-host-static PRIVATE PkgConfig::JANSSON)

host_library(nitro-host-scan scan.c ${rt}/text.c)
target_link_libraries(nitro-host-scan-shared
	PRIVATE nitro-host-shared PkgConfig::PCI)
target_link_libraries(nitro-host-scan-static PRIVATE PkgConfig::PCI)

# Public headers keep their place, because they include one another by it.
foreach(header
	ebs-nvme/abi.h
	ena/abi.h
	firmware/rt/bits.h
	firmware/rt/error.h
	host-driver/bus.h
	host-driver/ena_host.h
	host-driver/ena_io.h
	host-driver/nsm_host.h
	host-driver/nvme_host.h
	host-driver/nvme_io.h
	host-driver/scan.h
	security-chip/abi.h)
	get_filename_component(folder ${header} DIRECTORY)
	install(FILES ${PROJECT_SOURCE_DIR}/${header} COMPONENT host
		DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/nitro-card/${folder})
endforeach()

# The examples, built with everything else so that they cannot rot.
add_executable(nvme_identify examples/nvme_identify.c)
target_link_libraries(nvme_identify PRIVATE host_driver)
add_executable(ena_send examples/ena_send.c)
target_link_libraries(ena_send PRIVATE host_driver)
add_executable(list_functions examples/list_functions.c)
target_link_libraries(list_functions PRIVATE host_scan)
