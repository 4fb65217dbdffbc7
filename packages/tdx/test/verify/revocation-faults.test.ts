import { eachFault } from "./faults.js";
import { REVOCATION_ALTERATIONS } from "./revocation-alterations.js";

eachFault("the lists of revoked certificates", REVOCATION_ALTERATIONS);
