// Numbers and times as people read them, in few and steady widths.

/** Three significant places for losses and the like; "–" where there is no number. */
export function value(number: number | null): string {
  if (number === null || !Number.isFinite(number)) return "–";
  const size = Math.abs(number);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return number.toExponential(2).replace("e+", "e");
  if (size >= 10) return number.toFixed(size >= 1000 ? 0 : size >= 100 ? 1 : 2);
  if (size < 1 && size >= 0.9995) return (Math.sign(number) * Math.floor(size * 1e4) / 1e4).toFixed(4); // not all are right
  return size === 0 || size >= 0.1 ? number.toFixed(3) : number.toPrecision(3); // .0012 is not .001
}

/** Two places, for shares of one. */
export function share(number: number | null): string {
  return number === null || !Number.isFinite(number) ? "–" : number.toFixed(2);
}

/** A probability or risk: two places, and never 0.00 or 1.00 for what is neither. */
export function probability(number: number | null): string {
  if (number === null || !Number.isFinite(number)) return "–";
  if (number < 0.005) return "<0.01"; // a rank's least risk is not none, however it was rounded on the way
  return number > 0.995 && number < 1 ? ">0.99" : number.toFixed(2);
}

/** A number with as many places as tell it from another that is `apart` from it: 0.41 from 2.30 where 1.89 is. */
export function distance(number: number, apart: number): string {
  const size = Math.abs(apart);
  const digits = Math.max(0, 2 - Math.floor(Math.log10(size > 0 ? size : 1)));
  if (digits > 8 || Math.abs(number) >= 1e9) return number.toExponential(3);
  return number.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
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
  if (number === 0 || Math.abs(number) >= 1e-3) return String(Number(number.toPrecision(3)));
  return number.toExponential(/\.0e/.test(number.toExponential(1)) ? 0 : 1);
}

/** Marks on the axis of steps: "500", "2k", "1.5M". */
export function tick(step: number): string {
  if (step >= 1e6) return `${Number((step / 1e6).toFixed(2))}M`;
  return step >= 1e4 ? `${Number((step / 1e3).toFixed(1))}k` : String(step);
}

/** The largest exponent-free number of an axis, and the smallest step between its marks. */
const [PLAIN_MOST, PLAIN_LEAST] = [1e6, 1e-4];

/**
 * Labels of an axis of values, each as it is and no two alike. `values` are its marks (null: without a
 * label); all have as many places as tell them apart: "0.50", "12,345", "−2e−7". Where the marks
 * are not evenly spaced, as on a logarithmic axis, each has the places that it needs.
 */
export function axisLabels(values: readonly (number | null)[], even = true): string[] {
  const known = values.filter((one): one is number => one !== null);
  const steps = known.slice(1).map((one, i) => Math.abs(one - (known[i] ?? one)));
  const step = Math.min(...steps.filter((one) => one > 0));
  const largest = Math.max(...known.map(Math.abs));
  const scientific = largest >= PLAIN_MOST || (Number.isFinite(step) && step < PLAIN_LEAST);
  const write = (one: number): string => {
    if (one === 0) return "0";
    if (!even || !Number.isFinite(step)) return Math.abs(one) >= PLAIN_MOST || Math.abs(one) < PLAIN_LEAST ? short(one) : plain(one, places(one));
    if (!scientific) return plain(one, places(step));
    return exponential(one, Math.max(0, Math.floor(Math.log10(Math.abs(one)) + 1e-9) + placesOf(step)));
  };
  return values.map((one) => (one === null ? "" : write(one).replace(/-/g, "−")));
}

/** Decimal places that show a number whole, floating point's dust left out. */
function places(number: number): number {
  return Math.max(0, placesOf(number));
}

/** The power of ten of a number's last digit, negated: 0.25 has 2, 500 has −2. */
function placesOf(number: number): number {
  const [mantissa = "", exponent = "0"] = Number(number.toPrecision(6)).toExponential().split("e");
  return (mantissa.split(".")[1]?.length ?? 0) - Number(exponent);
}

function plain(number: number, digits: number): string {
  return number.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function exponential(number: number, digits: number): string {
  return number.toExponential(Math.min(digits, 12)).replace("e+", "e");
}

function short(number: number): string {
  return Number(number.toPrecision(6)).toExponential().replace("e+", "e");
}
