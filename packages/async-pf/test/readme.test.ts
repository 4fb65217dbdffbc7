import { testReadme } from "@vm/presets/testing";

testReadme();
