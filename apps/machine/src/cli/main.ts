#!/usr/bin/env node
import { endBySignal } from "./ending.js";
import { main } from "./program.js";
import { unblock } from "./unblock.js";

unblock(process.stderr);

// Exits by itself rather than when the event loop is empty: a terminal or a pipe on stdin would keep it busy.
const status = await main(process.argv.slice(2));
endBySignal();
process.exit(status);
