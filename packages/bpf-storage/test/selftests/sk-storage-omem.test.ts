import { expect, test } from "vitest";
import { describeGenerations } from "./generations.js";
import { ReferenceSockets } from "./reference-sockets.js";
import { Asserts, Skeleton } from "./skeleton.js";
import { SystemSide, words } from "./system-side.js";

/** The kernel's selftest sk_storage_omem_uncharge (prog_tests/sk_storage_omem_uncharge.c), which 6.1 does not have. */

const MARK = 0xdeadbeef;

describeGenerations(
  "sk_storage_omem_uncharge",
  ({ object, boot }) => {
    test("a socket that is closed has its account cleared when its storage is gone", () => {
      const asserts = new Asserts();
      const kernel = boot();
      const [sockets, system] = [new ReferenceSockets(kernel), new SystemSide(kernel)];
      const skeleton = new Skeleton(kernel, object("sk_storage_omem_uncharge"));
      asserts.ok(skeleton, "skel open_and_load");
      const map = skeleton.map("sk_storage");
      const sock = sockets.socket();
      const fd = sockets.open(sock);
      asserts.atLeast(fd, 0, "socket");
      const cookie = kernel.cookieOf(sock);
      kernel.objects.set(sock, "sock.__sk_common.skc_cookie.counter", cookie);
      skeleton.set("cookie", cookie);
      asserts.atLeast(cookie, 1, "getsockopt(SO_COOKIE)");
      asserts.ok(system.update(map, fd, words(0)), "bpf_map_update_elem(value=0)");
      asserts.ok(system.update(map, fd, words(MARK)), "bpf_map_update_elem(value=0xdeadbeef)");
      expect(kernel.objects.get(sock, "sock.sk_omem_alloc.counter")).toBeGreaterThan(0);
      skeleton.set("omem", -1);
      skeleton.attach();
      asserts.ok(skeleton, "attach");
      sockets.close(sock);
      asserts.equal(skeleton.get("cookie_found"), 2, "cookie_found");
      asserts.equal(skeleton.get("omem"), 0, "omem");
      expect(skeleton.sound).toBe(true);
      skeleton.destroy();
      expect(asserts.count).toBe(8);
    });
  },
  ["6.12"],
);
