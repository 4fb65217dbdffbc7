import { pointer } from "./layout.js";
import type { ReferenceKernel } from "./reference-kernel.js";

/** States of a connection (linux/tcp_states.h). */
export const Tcp = {
  established: 1,
  synSent: 2,
  synRecv: 3,
  finWait1: 4,
  finWait2: 5,
  close: 7,
  closeWait: 8,
  lastAck: 9,
  listen: 10,
} as const;

export const AF_INET6 = 10;
const [SOCK_STREAM, TCP_CONNECT_CB] = [1, 3];
/** `sizeof(struct sockaddr_in6)` */
const ADDRESS_BYTES = 28n;

/** A connection: a socket that connects, and one that the listening one has made for it. */
export interface Connection {
  readonly active: number;
  readonly passive: number;
}

/** Sockets of the reference kernel: TCP over a loopback that is never late, and whom it tells of what happens. */
export class ReferenceSockets {
  #nextPort = 40000;

  constructor(readonly kernel: ReferenceKernel) {}

  #make(cgroup: number): number {
    const { objects } = this.kernel;
    const sock = objects.make("tcp_sock");
    objects.set(sock, "sock.__sk_common.skc_refcnt.refs.counter", 1);
    objects.set(sock, "sock.__sk_common.skc_family", AF_INET6);
    objects.set(sock, "sock.__sk_common.skc_state", Tcp.close);
    objects.point(sock, "sock.sk_cgrp_data.cgroup", cgroup);
    return sock;
  }

  /** socket(2) by the running task. @returns the `struct sock` */
  socket(cgroup = 0): number {
    const sock = this.#make(cgroup);
    this.#withSocket(sock, (socket) =>
      this.kernel.fire("lsm/socket_post_create", [pointer(socket), BigInt(AF_INET6), BigInt(SOCK_STREAM), 0n, 0n]),
    );
    return sock;
  }

  /** A server, as network_helpers.c starts one: a socket that is bound and listens. */
  startServer(cgroup = 0): number {
    const { kernel } = this;
    const sock = this.socket(cgroup);
    this.bind(sock);
    kernel.fire("fentry/inet_csk_listen_start", [pointer(sock)]);
    this.state(sock, Tcp.listen);
    return sock;
  }

  /** bind(2) by the running task. @returns 0 or a negative errno */
  bind(sock: number): number {
    return this.#withSocket(sock, (socket) =>
      this.#withAddress((address) =>
        this.kernel.fire("lsm/socket_bind", [pointer(socket), pointer(address), ADDRESS_BYTES]),
      ),
    );
  }

  /** A connection is made. The hooks of cgroups are told of the one that connects. */
  connect(listening: number, cgroup = 0): Connection {
    const { kernel } = this;
    const { objects } = kernel;
    const active = this.socket(cgroup);
    this.#tellConnect6(active);
    this.state(active, Tcp.synSent);
    objects.set(active, "sock.__sk_common.skc_num", this.#nextPort++);
    this.#tellSockops(active);
    kernel.fire("fentry/tcp_connect", [pointer(active)]);
    const passive = this.#make(cgroup);
    kernel.cloneStorage(listening, passive);
    this.state(passive, Tcp.synRecv);
    this.state(passive, Tcp.established);
    this.state(active, Tcp.established);
    this.#withSocket(active, (socket) =>
      this.#withAddress((address) => {
        kernel.fire("fexit/inet_stream_connect", [pointer(socket), pointer(address), ADDRESS_BYTES, 0n, 0n]);
        return 0;
      }),
    );
    return { active, passive };
  }

  #tellConnect6(sock: number): void {
    const { objects } = this.kernel;
    const context = objects.make("bpf_sock_addr");
    for (const field of ["user_family", "family"]) objects.set(context, `bpf_sock_addr.${field}`, AF_INET6);
    objects.point(context, "bpf_sock_addr.sk", sock);
    this.kernel.fireWith("cgroup/connect6", context);
    this.kernel.arena.free(context);
  }

  #tellSockops(sock: number): void {
    const { objects } = this.kernel;
    const context = objects.make("bpf_sock_ops");
    objects.set(context, "bpf_sock_ops.op", TCP_CONNECT_CB);
    objects.set(context, "bpf_sock_ops.family", AF_INET6);
    objects.set(context, "bpf_sock_ops.local_port", this.port(sock));
    objects.point(context, "bpf_sock_ops.sk", sock);
    this.kernel.fireWith("sockops", context);
    this.kernel.arena.free(context);
  }

  /** The local port of a socket. */
  port(sock: number): number {
    return this.kernel.objects.get(sock, "sock.__sk_common.skc_num");
  }

  /** accept(2) gives a connection to the running task. What the function is called with changed in 6.10. */
  accept(listening: number, { passive }: Connection): number {
    const { kernel } = this;
    const words = kernel.generation === "6.1" ? [0n, 0n, 0n] : [0n];
    kernel.fire("fexit/inet_csk_accept", [pointer(listening), ...words, pointer(passive)]);
    return passive;
  }

  /** One side ends what it sends: the other is told. The first to do it is `from`. */
  shutdown(from: number, to: number): void {
    if (this.#stateOf(from) === Tcp.established) {
      this.state(from, Tcp.finWait1);
      this.state(to, Tcp.closeWait);
      this.state(from, Tcp.finWait2);
    } else {
      this.state(from, Tcp.lastAck);
      this.state(to, Tcp.close);
      this.state(from, Tcp.close);
    }
  }

  #stateOf(sock: number): number {
    return this.kernel.objects.get(sock, "sock.__sk_common.skc_state");
  }

  /** A socket comes to another state (`inet_sk_set_state`). */
  state(sock: number, state: number): void {
    const { kernel } = this;
    kernel.fire("tp_btf/inet_sock_set_state", [pointer(sock), BigInt(this.#stateOf(sock)), BigInt(state)]);
    kernel.objects.set(sock, "sock.__sk_common.skc_state", state);
  }

  /** Nobody refers to a socket any more, but it is still there. */
  dying(sock: number): void {
    this.kernel.objects.set(sock, "sock.__sk_common.skc_refcnt.refs.counter", 0);
  }

  /** The last reference to a socket is given up (`__sk_destruct`): programs may trace both how it ends and how its storage does. */
  close(sock: number): void {
    const { kernel } = this;
    this.dying(sock);
    kernel.fire("fentry/inet6_sock_destruct", [pointer(sock)]);
    const storage = kernel.objects.follow(sock, "sock.sk_bpf_storage");
    kernel.release("sockets", sock);
    if (storage !== 0) kernel.fire("fexit/bpf_local_storage_destroy", [pointer(storage), 0n]);
    kernel.freed(sock);
  }

  open(sock: number): number {
    return this.kernel.open("sockets", sock);
  }

  #withSocket(sock: number, act: (socket: number) => number): number {
    return this.#during("socket", (at) => {
      this.kernel.objects.point(at, "socket.sk", sock);
      return act(at);
    });
  }

  #withAddress(act: (address: number) => number): number {
    return this.#during("sockaddr", (at) => {
      this.kernel.objects.set(at, "sockaddr.sa_family", AF_INET6);
      return act(at);
    });
  }

  #during(struct: string, act: (at: number) => number): number {
    const at = this.kernel.objects.make(struct);
    const result = act(at);
    this.kernel.arena.free(at);
    return result;
  }
}
