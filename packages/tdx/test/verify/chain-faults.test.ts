import { CHAIN_ALTERATIONS } from "./chain-alterations.js";
import { eachFault } from "./faults.js";

eachFault("the chains", CHAIN_ALTERATIONS);
