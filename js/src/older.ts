// What older kernels and pages saved before do not say, where other fields tell it.

import { num, type Fields } from "./checks";

/** Whether a sample was wrong when it was last seen, by its classes. */
export function wrongNow(item: Fields): boolean {
  const [target, predicted] = [num(item, "target"), num(item, "predicted")];
  return target < 0 ? predicted === 1 : predicted !== target;
}
