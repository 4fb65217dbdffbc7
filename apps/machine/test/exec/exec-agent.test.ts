import { describe, expect, it } from "vitest";
import { Ask, Say } from "../../src/exec/agent-abi.js";
import { parseRequest } from "../../src/exec/agent-request.js";
import { ExecAgent } from "../../src/exec/exec-agent.js";
import { type ExecCommand, rootWords } from "../../src/exec/exec-plan.js";
import { Nr } from "../../src/exec/guest-syscalls.js";
import { AGENT_SIZE, FakeAgent, frame, int32, int64 } from "./fake-agent.js";

const TAG = Uint8Array.of(9, 8, 7, 6, 5, 4, 3, 2);

function setup(commandLine = "", commands: (ExecCommand | "wait")[] = [{ command: "true", input: true }]) {
  const heard: string[] = [];
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
  const plan = { tag: TAG, root: rootWords(commandLine) };
  const agent = new ExecAgent(plan, AGENT_SIZE, {
    send: (bytes) => guest.receive(bytes),
    next: () => commands.shift() ?? "leave",
    begin: () => void heard.push("begin"),
    output: (bytes) => void heard.push(`output ${text(bytes)}`),
    errors: (bytes) => void heard.push(`errors ${text(bytes)}`),
    ready: () => void heard.push("ready"),
    closed: () => void heard.push("closed"),
    exit: (status) => void heard.push(`exit ${status}`),
    fail: (why) => void heard.push(`fail ${why}`),
    done: () => void heard.push("done"),
    rest: () => null,
  });
  const line = (bytes: Uint8Array): void => {
    for (const byte of bytes) agent.push(byte);
  };
  const guest = new FakeAgent(line);
  return { agent, guest, heard, line };
}

describe("a command in a guest", () => {
  it("runs in an initial ram disk that is the root itself; then the guest tidies up and turns itself off", () => {
    const { guest, heard } = setup();
    guest.say(Say.Hello, int64(0x7000));
    expect([heard, guest.pumping]).toEqual([["begin"], true]);
    guest.say(Say.Output, Buffer.from("out"));
    guest.say(Say.Errors, Buffer.from("err"));
    guest.say(Say.Exit, int32(7 << 8));
    expect(heard).toEqual(["begin", "output out", "errors err", "exit 7", "done"]);
    expect(guest.calls.slice(-2)).toEqual([Nr.sync, Nr.reboot]);
  });

  it("is followed by others, at once or when there is one; what each leaves open is closed first", () => {
    const command = { command: "true", input: true };
    const commands: (ExecCommand | "wait")[] = [command, command, "wait"];
    const { agent, guest, heard } = setup("", commands);
    agent.wake();
    guest.say(Say.Hello, int64(0x7000));
    guest.say(Say.Exit, int32(1 << 8));
    const closed = guest.calls.filter((call) => call === Nr.close).length;
    guest.say(Say.Exit, int32(2 << 8));
    expect([heard, agent.running]).toEqual([["begin", "exit 1", "begin", "exit 2"], false]);
    commands.push({ command: "true", input: false });
    agent.wake();
    expect(guest.calls.filter((call) => call === Nr.close).length).toBeGreaterThan(closed);
    guest.say(Say.Exit, int32(3 << 8));
    expect(heard.slice(4)).toEqual(["begin", "exit 3", "done"]);
    agent.wake();
    expect(heard).toHaveLength(7);
  });

  it("that a signal ends has the status shells give it", () => {
    const { guest, heard } = setup();
    guest.say(Say.Hello, int64(0x7000));
    guest.say(Say.Exit, int32(9));
    expect(heard).toContain("exit 137");
  });

  it("runs as init of the root where the ram disk only looks for one: its init is started with the agent left in /dev", () => {
    const { guest, heard } = setup("root=/dev/vda");
    guest.present.add("/init");
    // An execve that succeeds is not answered; the next thing the agent says is hello.
    const receive = guest.receive.bind(guest);
    guest.receive = (bytes) => {
      const [ask, number] = parseRequest(bytes).words;
      if (ask !== BigInt(Ask.Syscall) || number !== BigInt(Nr.execve)) receive(bytes);
    };
    guest.say(Say.Hello, int64(0x7000));
    expect(heard).toEqual([]);
    guest.say(Say.Hello, int64(0x7000));
    expect(heard).toEqual(["begin"]);
  });

  it.each([
    ["", new Set<string>(), "the guest's root has no shell"],
    ["root=UUID=1", new Set(["/bin/sh"]), "needs an initial ram disk that finds it"],
    ["root=/dev/vdz", new Set(["/bin/sh"]), "the guest has no /dev/vdz"],
  ])("that cannot be run is told why in a sentence (%s)", (words, present, why) => {
    const { guest, heard } = setup(words);
    guest.present.clear();
    for (const path of present) guest.present.add(path);
    guest.say(Say.Hello, int64(0x7000));
    expect(heard[0]).toContain(why);
    expect(heard[1]).toBe("done");
  });

  it("gets its input when it asks, once each time", () => {
    const { agent, guest, heard } = setup();
    agent.input(Uint8Array.of(1));
    guest.say(Say.Hello, int64(0x7000));
    agent.input(Uint8Array.of(2));
    guest.say(Say.Ready);
    expect(heard).toEqual(["begin", "ready"]);
    agent.input(Uint8Array.of(3));
    agent.input(Uint8Array.of(4));
    expect(guest.input).toEqual([Uint8Array.of(3)]);
  });

  it("gets signals while it runs", () => {
    const { agent, guest } = setup();
    expect(agent.kill(2)).toBe(false);
    guest.say(Say.Hello, int64(0x7000));
    expect([agent.kill(2), guest.signals]).toEqual([true, [2]]);
  });

  it("cannot say how it ended: a status counts only behind the tag", () => {
    const { guest, heard, line } = setup();
    guest.say(Say.Hello, int64(0x7000));
    for (const tag of ["vm-agent", Uint8Array.of(9, 8, 7, 6, 5, 4, 3, 1)]) {
      line(frame(tag, Say.Exit, int32(0)));
      line(frame(tag, Say.Hello, int64(0)));
    }
    line(Buffer.from("\x01VM-EXEC-END 0\x02 exit 0\n"));
    expect(heard).toEqual(["begin"]);
    guest.say(Say.Exit, int32(3 << 8));
    expect(heard).toContain("exit 3");
  });

  it("ends once: what the agent says behind the status is not heard", () => {
    const { guest, heard } = setup();
    guest.say(Say.Hello, int64(0x7000));
    guest.say(Say.Exit, int32(1 << 8));
    for (const type of Object.values(Say)) guest.say(type, int32(0));
    expect(heard).toEqual(["begin", "exit 1", "done"]);
  });
});
