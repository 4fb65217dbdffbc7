import { COLLATERAL_ALTERATIONS } from "./collateral-alterations.js";
import { eachFault } from "./faults.js";

eachFault("the collateral", COLLATERAL_ALTERATIONS);
