// Numbers and times as people read them, in few and steady widths.

/** Three significant places for losses and the like; "–" where there is no number. */
export function value(number: number | null): string {
  if (number === null || !Number.isFinite(number)) return "–";
  const size = Math.abs(number);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return number.toExponential(2);
  return size >= 1000 ? number.toFixed(0) : size >= 100 ? number.toFixed(1) : size >= 10 ? number.toFixed(2) : number.toFixed(3);
}

/** Two places, for shares of one. */
export function share(number: number | null): string {
  return number === null || !Number.isFinite(number) ? "–" : number.toFixed(2);
}

/** "2 min 10 s", "1 h 05 min", "45 s". */
export function duration(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds) || seconds < 0) return "–";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (n: number): string => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** "1 map", "2 maps". */
export function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** Steps per second, or seconds per step where a step takes longer than one. */
export function speed(perSecond: number | null): string {
  if (perSecond === null || !Number.isFinite(perSecond) || perSecond <= 0) return "–";
  if (perSecond < 1) return `${(1 / perSecond).toFixed(1)} s/step`;
  return `${perSecond >= 100 ? perSecond.toFixed(0) : perSecond.toFixed(1)} steps/s`;
}

/** Learning rates: "0.001", "3e-4". */
export function rate(number: number | null): string {
  if (number === null || !Number.isFinite(number)) return "–";
  if (number === 0 || number >= 1e-3) return String(Number(number.toPrecision(3)));
  return number.toExponential(number.toExponential(1).startsWith(`${number.toExponential(0).slice(0, 1)}.0`) ? 0 : 1);
}

/** Marks on the axis of steps: "500", "2k", "1.5M". */
export function tick(step: number): string {
  if (step >= 1e6) return `${Number((step / 1e6).toFixed(2))}M`;
  return step >= 1e4 ? `${Number((step / 1e3).toFixed(1))}k` : String(step);
}
