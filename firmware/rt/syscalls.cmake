# SPDX-License-Identifier: BSD-3-Clause
# nitro_syscalls(TARGET NAME): compile into the program a function NAME() that
# knows the system calls that it may make: what all its files declare in
# comments, and the files of the libraries of ours that it is linked with.
# Called where the program's libraries are known already.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(NITRO_SYSCALLS_TOOL ${CMAKE_CURRENT_LIST_DIR}/syscalls.py)

function(nitro_sources_of target out)
	get_target_property(sources ${target} SOURCES)
	get_target_property(dir ${target} SOURCE_DIR)
	get_target_property(libraries ${target} LINK_LIBRARIES)
	set(all ${${out}})
	foreach(source ${sources})
		cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY ${dir})
		if(source MATCHES "\\.c$")
			list(APPEND all ${source})
		endif()
	endforeach()
	foreach(library ${libraries})
		if(NOT TARGET ${library})
			continue()
		endif()
		get_target_property(is_foreign ${library} IMPORTED)
		if(NOT is_foreign)
			nitro_sources_of(${library} all)
		endif()
	endforeach()
	list(REMOVE_DUPLICATES all)
	set(${out} ${all} PARENT_SCOPE)
endfunction()

function(nitro_syscalls target name)
	set(files)
	nitro_sources_of(${target} files)
	set(table ${CMAKE_CURRENT_BINARY_DIR}/${target}-syscalls.c)
	add_custom_command(OUTPUT ${table}
		COMMAND ${Python3_EXECUTABLE} ${NITRO_SYSCALLS_TOOL} ${table}
			${name} "${NITRO_SANITIZE}" ${files}
		DEPENDS ${NITRO_SYSCALLS_TOOL} ${files} VERBATIM)
	target_sources(${target} PRIVATE ${table})
endfunction()
