// What other tasks than classification show, and what a person may turn, for the harness.

type Sections = Record<string, unknown>;

/** Several labels a sample: each has a probability and a truth of its own. */
export function labelled(): Sections {
  const top = [[0, 0.97], [4, 0.81], [7, 0.46], [2, 0.12]].map(([index, probability]) => ({ index, probability }));
  return { target: null, predicted: null, top, labels: [0, 7], explained: 7 };
}

function circle(cx: number, cy: number, radius: number): Uint8Array {
  return Uint8Array.from({ length: 32 * 32 }, (_, i) => (Math.hypot((i % 32) - cx, Math.floor(i / 32) - cy) < radius ? 3 : 0));
}

/** A class for each pixel: the mask of the data, that of the model, the region that the map is of. */
export function outlined(put: (data: Uint8Array) => number): Sections {
  const region = Uint8Array.from(circle(15, 14, 9).map((one, i) => (one > 0 && i % 32 < 16 ? 1 : 0)));
  return { target: 3, predicted: 3, explained: 3, truth_buffer: put(circle(15, 14, 10)), said_buffer: put(circle(17, 15, 9)), region_buffer: put(region) };
}

export const PROOFS: Readonly<Record<string, Sections>> = {
  a1: { verdict: "helped", text: "helped: val accuracy 0.27 -> 0.88 (0.55 to 0.66 above a random region)", share: 1, keeps: ["untreated", "treated", "placebo"], to_step: 660 },
  a4: { verdict: "no difference", text: "no difference: val accuracy 0.41 -> 0.42 (-0.05 to 0.06)", share: 1 },
  a5: { verdict: "", text: "2 of 9: with a random region instead, seed 0", share: 0.25 },
};

export const KNOBS: Sections = {
  values: [
    { name: "lr", values: [0.01], scheduled: true }, { name: "weight_decay", values: [0.0005], scheduled: false },
    { name: "momentum", values: [0.9], scheduled: false }, { name: "dampening", values: [0, 0.1], scheduled: false },
  ],
  layers: ["stem.conv", "stem.bn", "layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "head"].map((name, i) => ({ name, weights: 432 * (i + 1) ** 2, frozen: i < 2 ? 1 : 0 })),
  batch_size: 64, next_batch_size: 128, num_train: 10000, why_not: "",
};
