import { testBlocks } from "@vm/presets/docs";
import { hookTable } from "./docs/hooks.js";
import { instructionList } from "./docs/instructions.js";
import { msrTable } from "./docs/msrs.js";

testBlocks(() => ({ instructions: instructionList(), hooks: hookTable(), msrs: msrTable() }));
