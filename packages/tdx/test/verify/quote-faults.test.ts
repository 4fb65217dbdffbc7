import { eachFault } from "./faults.js";
import { QUOTE_ALTERATIONS } from "./quote-alterations.js";

eachFault("the quote", QUOTE_ALTERATIONS);
