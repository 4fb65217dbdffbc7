import { testBlocks } from "@vm/presets/docs";
import { DIALECTS } from "../src/index.js";
import { commandTable, eventTable } from "./docs/tables.js";

const dialects = Object.values(DIALECTS);
testBlocks(() => ({ commands: commandTable(dialects), events: eventTable(dialects) }));
