/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vfio-user server of one function: who is served.  On the function's loop
 * thread; owns the sockets, the buffers and the socket file.
 *
 *            accept, attach                    hang up
 *   IDLE ─────────────────────► ATTACHED ────────────────► LEAVING
 *    ▲                                                        │
 *    └──── the function is quiet; windows, eventfds dropped ──┘
 *
 * A client is hung up on from one place only, the task: whoever finds a reason
 * (perhaps deep inside the device) notes it with pcie_server_break().
 *
 * While the last client's function is not quiet the next one waits in the
 * backlog: a VMM that starts again at once must not be refused.
 *
 * syscalls: accept4 shutdown close fcntl stat newfstatat unlink
 */
#include "pcie-model/vfio-user/server.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "firmware/rt/error.h"
#include "firmware/rt/listen.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/secret.h"
#include "pcie-model/function.h"
#include "pcie-model/vfio-user/server_private.h"

/*
 * Between two tries of a reset that found too many others waiting, or to take
 * a client for which there was no descriptor.
 */
#define RETRY_NS (10 * UINT64_C(1000000))

void pcie_server_break(struct pcie_server *server, const char *why)
{
	if (server->state != PCIE_SERVER_ATTACHED || server->broken)
		return;
	server->broken = why;
	pcie_server_wake(server);
}

void pcie_server_wake(struct pcie_server *server)
{
	rt_loop_post(server->fn->loop, &server->task);
}

static void watch_listener(struct pcie_server *server)
{
	if (server->listen_fd >= 0 && !server->listen_watch.token &&
	    rt_watch_start(server->fn->loop, &server->listen_watch,
			   server->listen_fd, POLLIN))
		rt_log_error(server->fn->name, "cannot wait for clients");
}

static void ignore_listener(struct pcie_server *server)
{
	if (server->listen_watch.token)
		rt_watch_stop(server->fn->loop, &server->listen_watch);
}

/* ---- the end of a client ---- */

/*
 * What messages carried was the client's.  Whole pages are given back, so that
 * those which nobody used stay without memory.
 */
static void forget_bytes(uint8_t *bytes, size_t size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = (uintptr_t)bytes, end = start + size;
	uintptr_t first = (start + page - 1) & ~(page - 1);
	uintptr_t last = end & ~(page - 1);

	if (first >= last ||
	    madvise((void *)first, last - first, MADV_DONTNEED)) {
		rt_erase(bytes, size);
		return;
	}
	rt_erase(bytes, first - start);
	rt_erase((void *)last, end - last);
}

static void stop_serving(struct pcie_server *server)
{
	struct rt_loop *loop = server->fn->loop;

	if (server->in_events)
		rt_watch_stop(loop, &server->in_watch);
	if (server->output.is_watched)
		rt_watch_stop(loop, &server->out_watch);
	server->in_events = 0;
	server->output.is_watched = false;
	rt_timer_stop(loop, &server->deferred.timer);
	server->deferred.is_active = false;
	/* The loop's poll keeps the file open for a moment longer. */
	shutdown(server->fd, SHUT_RDWR);
	close(server->fd);
	server->fd = -1;
	vfio_user_close_fds(&server->input.fds);
	server->input.start = 0;
	server->input.end = 0;
	server->input.progress = 0;
	server->output.start = 0;
	server->output.end = 0;
	server->output.message_left = 0;
	server->output.fd = -1;
	forget_bytes(server->input.bytes, PCIE_SERVER_MESSAGE_BYTES);
	forget_bytes(server->output.bytes, PCIE_SERVER_OUTPUT_BYTES);
}

static void left(struct pcie_function *fn, void *opaque)
{
	struct pcie_server *server = opaque;

	pcie_dma_unmap_all(fn);
	pcie_interrupt_drop(fn);
	fn->transport = (struct pcie_transport){ 0 };
	server->state = PCIE_SERVER_IDLE;
	if (server->is_destroying)
		pcie_server_wake(server);
	else
		watch_listener(server);
}

static void settle(struct pcie_server *server)
{
	struct rt_loop *loop = server->fn->loop;

	if (pcie_function_reset(server->fn, PCIE_RESET_DETACH, left, server))
		rt_timer_start(loop, &server->retry,
			       rt_loop_now_ns(loop) + RETRY_NS);
}

static void try_again(struct rt_timer *timer)
{
	struct pcie_server *server =
		rt_container_of(timer, struct pcie_server, retry);

	if (server->state == PCIE_SERVER_LEAVING)
		settle(server);
	else
		watch_listener(server);
}

static void leave(struct pcie_server *server, const char *why)
{
	server->state = PCIE_SERVER_LEAVING;
	server->broken = NULL;
	server->is_versioned = false;
	ignore_listener(server);
	stop_serving(server);
	pcie_dma_cancel_all(server->fn);
	pcie_server_dma_reset(server);
	rt_log_info(server->fn->name, "client gone: %s", why);
	settle(server);
}

/* ---- the beginning of one ---- */

static int let_in(struct pcie_server *server)
{
	const struct pcie_function_type *type = server->fn->type;
	struct rt_error error = { 0 };
	int status = type->attach ? type->attach(server->fn, &error) : 0;

	if (status)
		rt_log_error(server->fn->name, "a client was refused: %s",
			     error.text);
	return status;
}

int pcie_server_attach(struct pcie_server *server, int fd)
{
	int status;

	if (server->state != PCIE_SERVER_IDLE || server->is_destroying) {
		close(fd);
		return -EBUSY;
	}
	server->fd = fd;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) ||
	    rt_watch_start(server->fn->loop, &server->in_watch, fd, POLLIN)) {
		close(fd);
		server->fd = -1;
		return -ENOMEM;
	}
	status = let_in(server);
	if (status) {
		rt_watch_stop(server->fn->loop, &server->in_watch);
		shutdown(fd, SHUT_RDWR);
		close(fd);
		server->fd = -1;
		return status;
	}
	server->in_events = POLLIN;
	server->state = PCIE_SERVER_ATTACHED;
	server->fn->transport = (struct pcie_transport){
		.opaque = server,
		.dma_start = pcie_server_dma_start,
		.dma_cancel = pcie_server_dma_cancel,
	};
	rt_counter_add(&server->stats.clients, 1);
	rt_log_info(server->fn->name, "client attached (process %d)",
		    (int)vfio_user_peer(fd));
	return 0;
}

/* Without a free descriptor we could neither accept nor refuse. */
static int accept_with_spare(struct pcie_server *server)
{
	struct rt_loop *loop = server->fn->loop;
	int fd;

	if (server->spare_fd >= 0)
		close(server->spare_fd);
	fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	server->spare_fd = fcntl(server->listen_fd, F_DUPFD_CLOEXEC, 0);
	/* Not even so: look away for a while, the listener stays ready. */
	if (fd < 0) {
		ignore_listener(server);
		rt_timer_start(loop, &server->retry,
			       rt_loop_now_ns(loop) + RETRY_NS);
	}
	rt_log_error(server->fn->name,
		     "a client was refused: out of file descriptors");
	return -1;
}

static int accept_client(struct pcie_server *server)
{
	int fd = accept4(server->listen_fd, NULL, NULL,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		return accept_with_spare(server);
	return fd;
}

static void client_waits(struct rt_watch *watch, uint32_t events)
{
	struct pcie_server *server =
		rt_container_of(watch, struct pcie_server, listen_watch);
	bool is_busy = server->state != PCIE_SERVER_IDLE;
	int fd;

	(void)events;
	/* Its successor may be seen before its own end. */
	if (is_busy && (server->broken || vfio_user_has_hung_up(server->fd))) {
		pcie_server_break(server, "it hung up");
		ignore_listener(server);
		return;
	}
	fd = accept_client(server);
	if (fd < 0)
		return;
	if (is_busy) {
		rt_log_warn(server->fn->name,
			    "a second client (process %d) was refused",
			    (int)vfio_user_peer(fd));
		close(fd);
	} else {
		pcie_server_attach(server, fd);
	}
}

/* ---- the server ---- */

static void free_server(struct pcie_server *server)
{
	if (server->listen_fd >= 0)
		close(server->listen_fd);
	if (server->spare_fd >= 0)
		close(server->spare_fd);
	free(server->path);
	free(server->input.bytes);
	free(server->output.bytes);
	free(server);
}

static void end_server(struct pcie_server *server)
{
	void (*done)(void *opaque) = server->destroyed;
	void *opaque = server->destroyed_opaque;

	free_server(server);
	if (done)
		done(opaque);
}

static void go_on(struct rt_task *task)
{
	struct pcie_server *server =
		rt_container_of(task, struct pcie_server, task);

	if (server->state == PCIE_SERVER_ATTACHED && server->broken)
		leave(server, server->broken);
	else if (server->state == PCIE_SERVER_ATTACHED)
		pcie_server_turn(server);
	else if (server->state == PCIE_SERVER_IDLE && server->is_destroying)
		end_server(server);
}

/* NULL: errno tells what there is none of. */
static struct pcie_server *new_server(struct pcie_function *fn,
				      const char *path)
{
	struct pcie_server *server = calloc(1, sizeof *server);
	int error;

	if (!server)
		return NULL;
	server->fn = fn;
	server->fd = -1;
	server->listen_fd = -1;
	server->output.fd = -1;
	server->listen_watch.ready = client_waits;
	server->in_watch.ready = pcie_server_input_ready;
	server->out_watch.ready = pcie_server_output_ready;
	server->task.run = go_on;
	server->retry.fired = try_again;
	server->deferred.timer.fired = pcie_server_answer_late;
	server->channel.timer.fired = pcie_server_dma_timeout;
	server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	server->path = path ? strdup(path) : NULL;
	server->input.bytes = malloc(PCIE_SERVER_MESSAGE_BYTES);
	server->output.bytes = malloc(PCIE_SERVER_OUTPUT_BYTES);
	if (server->spare_fd >= 0 && (server->path || !path) &&
	    server->input.bytes && server->output.bytes)
		return server;
	error = errno;
	free_server(server);
	errno = error;
	return NULL;
}

static int cannot_serve(const struct pcie_function *fn, int reason,
			struct rt_error *error)
{
	rt_error_set(error, -reason, "%s cannot be served: %s", fn->name,
		     rt_errno_name(reason));
	if (reason == EMFILE)
		rt_error_hint(error, "raise the limit of open files "
				     "(ulimit -n)");
	return -reason;
}

static int start_listening(struct pcie_server *server, struct rt_error *error)
{
	struct stat st;
	int failed;

	failed = rt_listen_unix(server->path, &server->listen_fd, error);
	if (failed)
		return failed;
	if (!stat(server->path, &st))
		server->path_inode = st.st_ino;
	watch_listener(server);
	return 0;
}

int pcie_server_create(struct pcie_function *fn, const char *path,
		       struct pcie_server **out, struct rt_error *error)
{
	struct pcie_server *server = new_server(fn, path);
	int failed = 0;

	if (!server)
		return cannot_serve(fn, errno, error);
	if (path)
		failed = start_listening(server, error);
	if (failed)
		free_server(server);
	else
		*out = server;
	return failed;
}

/* Only what we put there: another server may have replaced it. */
static void remove_socket_file(const struct pcie_server *server)
{
	struct stat st;

	if (server->path && !stat(server->path, &st) &&
	    st.st_ino == server->path_inode)
		unlink(server->path);
}

void pcie_server_destroy(struct pcie_server **out, void (*done)(void *opaque),
			 void *opaque)
{
	struct pcie_server *server = *out;

	*out = NULL;
	server->is_destroying = true;
	server->destroyed = done;
	server->destroyed_opaque = opaque;
	remove_socket_file(server);
	ignore_listener(server);
	if (server->state == PCIE_SERVER_ATTACHED) {
		leave(server, "the server ends");
	} else if (server->state == PCIE_SERVER_IDLE) {
		/* The device may be at work without a client. */
		rt_timer_stop(server->fn->loop, &server->retry);
		server->state = PCIE_SERVER_LEAVING;
		settle(server);
	}
}

bool pcie_server_has_client(const struct pcie_server *server)
{
	return server->state == PCIE_SERVER_ATTACHED;
}

const struct pcie_server_stats *
pcie_server_stats(const struct pcie_server *server)
{
	return &server->stats;
}
