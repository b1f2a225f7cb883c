// The checks that decode.ts is made of: each reads one field of a message, or throws.

/** A message did not have the shape that the protocol promises. */
export class ProtocolError extends Error {}

export type Fields = Record<string, unknown>;
/** Binary parts as Jupyter hands them over. */
export type Buffers = readonly (DataView | ArrayBuffer | Uint8Array)[];
type Read<T> = (from: Fields, key: string) => T;

export function fields(value: unknown, where: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ProtocolError(`${where} is not an object`);
  }
  return value as Fields;
}

/** Whether the field is there. */
export function given(from: Fields, key: string): boolean {
  return from[key] !== undefined && from[key] !== null;
}

export function num(from: Fields, key: string): number {
  const value = from[key];
  if (typeof value !== "number") throw new ProtocolError(`${key} is not a number`);
  return value;
}

export function str(from: Fields, key: string): string {
  const value = from[key];
  if (typeof value !== "string") throw new ProtocolError(`${key} is not a string`);
  return value;
}

export function bool(from: Fields, key: string): boolean {
  const value = from[key];
  if (typeof value !== "boolean") throw new ProtocolError(`${key} is not true or false`);
  return value;
}

export function record(from: Fields, key: string): Fields {
  return fields(from[key], key);
}

/** One of these words; undefined where the field lacks or has another one, as of a newer kernel. */
export function known<T extends string>(from: Fields, key: string, words: readonly T[]): T | undefined {
  return words.find((word) => word === from[key]);
}

export function maybe<T>(read: Read<T>): Read<T | null> {
  return (from, key) => (given(from, key) ? read(from, key) : null);
}

/** Of an older kernel, which does not send the field, `instead`. */
export function or<T>(read: Read<T>, instead: T): Read<T> {
  return (from, key) => (given(from, key) ? read(from, key) : instead);
}

function array(from: Fields, key: string): unknown[] {
  const value = from[key];
  if (!Array.isArray(value)) throw new ProtocolError(`${key} is not a list`);
  return value;
}

export function list<T>(read: (item: Fields) => T): Read<T[]> {
  return (from, key) => array(from, key).map((item) => read(fields(item, `an item of ${key}`)));
}

export function object<T>(read: (item: Fields) => T): Read<T> {
  return (from, key) => read(record(from, key));
}

export function numbers(from: Fields, key: string): number[] {
  return array(from, key).map((value) => {
    if (typeof value !== "number") throw new ProtocolError(`an item of ${key} is not a number`);
    return value;
  });
}

export function strings(from: Fields, key: string): string[] {
  return array(from, key).map((value) => {
    if (typeof value !== "string") throw new ProtocolError(`an item of ${key} is not a string`);
    return value;
  });
}

export function box(from: Fields, key: string): readonly [number, number, number, number] {
  const [x0, y0, x1, y1, ...more] = numbers(from, key);
  if (x0 === undefined || y0 === undefined || x1 === undefined || y1 === undefined || more.length > 0) {
    throw new ProtocolError(`${key} does not have four numbers`);
  }
  return [x0, y0, x1, y1];
}

/** The buffer that the field has the number of. */
export function bytes(buffers: Buffers): Read<Uint8Array> {
  return (from, key) => {
    const index = num(from, key);
    const buffer = buffers[index];
    if (buffer === undefined) throw new ProtocolError(`buffer ${index} is missing`);
    return ArrayBuffer.isView(buffer)
      ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
      : new Uint8Array(buffer);
  };
}

/** Pairs of float64. */
export function pairs(buffers: Buffers): Read<Float64Array> {
  return (from, key) => {
    const raw = bytes(buffers)(from, key);
    const copy = raw.slice(0, raw.byteLength - (raw.byteLength % 16)); // aligned, whole pairs
    return new Float64Array(copy.buffer, 0, copy.byteLength / 8);
  };
}

/** Bytes of `count` pixels or map cells. */
export function plane(buffers: Buffers, count: number): Read<Uint8Array> {
  return (from, key) => {
    const found = bytes(buffers)(from, key);
    if (found.byteLength !== count || count === 0) {
      throw new ProtocolError(`${key} holds ${found.byteLength} bytes instead of ${count}`);
    }
    return found;
  };
}
