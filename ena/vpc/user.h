/* SPDX-License-Identifier: BSD-3-Clause */
/* The user-mode network's process: how a card starts it, and what they say. */
#ifndef ENA_VPC_USER_H
#define ENA_VPC_USER_H

/*
 * nitro-user-net --mtu N [--tftp FOLDER] [--bootfile NAME]
 *
 * Its descriptor 3 is a SOCK_SEQPACKET socket: each message is an Ethernet
 * frame with nothing left to do, without FCS.  Frames of TCP to the process may
 * be longer than the MTU.  It ends when the socket does, and complains on
 * stderr, a line each.
 */
#define ENA_USER_PROGRAM "nitro-user-net"
#define ENA_USER_SOCKET  3

#endif
