import { expect, test } from "vitest";
import { ERRNO } from "../../src/index.js";
import { describeGenerations } from "./generations.js";
import { ReferenceSockets, Tcp } from "./reference-sockets.js";
import { Asserts, Skeleton } from "./skeleton.js";
import { SystemSide, words } from "./system-side.js";

/** The kernel's selftest sk_storage_tracing (prog_tests/sk_storage_tracing.c). */

const [SELF, COMM] = [100, "test_progs"];

describeGenerations("sk_storage_tracing", ({ object, boot }) => {
  test("a program that traces the storage of sockets itself does not get any", () => {
    const [kernel, asserts] = [boot(), new Asserts()];
    asserts.fails(
      () => new Skeleton(kernel, object("test_sk_storage_trace_itself")),
      /helper call is not allowed in probe/,
      "test_sk_storage_trace_itself",
    );
    expect(kernel.runtime.maps.size).toBe(0);
    expect(asserts.count).toBe(1);
  });

  test("states of a connection, kept by its sockets", () => {
    const [kernel, asserts] = [boot(), new Asserts()];
    const [sockets, system] = [new ReferenceSockets(kernel), new SystemSide(kernel)];
    kernel.run(kernel.fork(SELF, { comm: COMM }));
    const skeleton = new Skeleton(kernel, object("test_sk_storage_tracing"));
    asserts.ok(skeleton, "test_sk_storage_tracing");
    skeleton.attach();
    asserts.ok(skeleton, "test_sk_storage_tracing__attach");
    const [states, deleted] = [skeleton.map("sk_stg_map"), skeleton.map("del_sk_stg_map")];

    const listening = sockets.startServer();
    const connection = sockets.connect(listening);
    const activeFd = sockets.open(connection.active);
    asserts.ok(system.update(deleted, activeFd, words(1)), "map_update(del_sk_stg_map)");
    const passive = sockets.accept(listening, connection);
    sockets.shutdown(connection.active, passive);
    sockets.shutdown(passive, connection.active);
    // What is read is the end of what the other has sent.
    for (const label of ["read(passive_fd)", "read(active_fd)"]) asserts.ok(0, label);
    asserts.equal(system.lookup(deleted, activeFd), -ERRNO.ENOENT, "map_lookup(del_sk_stg_map)");

    const check = (sock: number, state: number, label: string): void => {
      const found = system.lookup(states, sockets.open(sock));
      const value = typeof found === "number" ? new Uint32Array(6) : found;
      asserts.ok(found, "map_lookup(sk_stg_map)");
      asserts.equal(value[1], state, "last_notclose_state");
      asserts.equal(value[0], SELF, "pid");
      const comm = new TextDecoder().decode(value.slice(2)).split("\0")[0];
      asserts.equal(comm, skeleton.text("task_comm"), "task_comm");
      asserts.ok(value, label);
    };
    check(listening, Tcp.listen, "listen_fd sk_stg");
    check(connection.active, Tcp.finWait2, "active_fd sk_stg");
    check(passive, Tcp.lastAck, "passive_fd sk_stg");
    expect(skeleton.text("task_comm")).toBe(COMM);
    expect(skeleton.sound).toBe(true);
    expect(asserts.count).toBe(21);
    skeleton.destroy();
  });
});
