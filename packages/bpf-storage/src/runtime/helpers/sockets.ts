import type { HostArguments } from "../../engine/helpers.js";
import type { HelperContext, HelperEntry } from "./types.js";

/** There is no socket that packets could be for, nor one of TCP: what looks for one finds none. */
const none = (): undefined => undefined;

/** Sockets of packets are whole ones. */
const whole = (args: HostArguments): undefined => {
  args.setResult(args.low(0), args.high(0));
};

/** The same socket, if it is a whole one of TCP. */
function tcp(args: HostArguments, { host }: HelperContext): undefined {
  const [low, high] = [args.low(0), args.high(0)];
  if (host.tcpSocket?.(low, high) === true) args.setResult(low, high);
}

/** Helpers of sockets, of programs that get packets (net/core/filter.c). */
export const SOCKET_HELPERS: readonly HelperEntry[] = [
  { id: 84, name: "sk_lookup_tcp", call: none },
  { id: 85, name: "sk_lookup_udp", call: none },
  { id: 86, name: "sk_release", call: () => 0 },
  { id: 95, name: "sk_fullsock", call: whole },
  { id: 96, name: "tcp_sock", call: none },
  { id: 98, name: "get_listener_sock", call: none },
  { id: 99, name: "skc_lookup_tcp", call: none },
  { id: 137, name: "skc_to_tcp_sock", needs: "tcpSocket", call: tcp },
];
