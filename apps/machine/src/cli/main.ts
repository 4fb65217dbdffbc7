#!/usr/bin/env node
import { main } from "./program.js";

// Exits by itself rather than when the event loop is empty: a terminal or a pipe on stdin would keep it busy.
process.exit(await main(process.argv.slice(2)));
