// Shows the built bundle in a plain page. Query: theme=light|dark, state, window=open|shut,
// width in pixels, classes=long, empty, dead, views=2, alarms, regression, doubtful, least, scale of the
// loss, advice, finding, spike, many, kind=text|series|table|parts, task=labels|segmentation, proof, saved;
// records=compare|sweep for runs side by side and a search in place of the dashboard.

import createWidget from "../../coflect_widget/static/widget.js";
import { FakeKernel } from "./fake";
import { showRecords } from "./records";

const query = new URLSearchParams(location.search);
const theme = query.get("theme");
if (theme !== null) document.body.setAttribute("data-jp-theme-light", String(theme === "light"));
const kernel = new FakeKernel({
  state: query.get("state") ?? "training",
  window: query.get("window") === "shut" ? "shut" : "open",
  classes: query.get("classes") === "long" ? ["<img src=x onerror=alert(1)> a very long class name", "قطة صغيرة", "third"] : [],
  empty: query.has("empty"),
  dead: query.has("dead"),
  hits: !query.has("empty"),
  alarms: query.has("alarms"),
  regression: query.has("regression"),
  doubtful: query.has("doubtful"),
  scale: Number(query.get("scale") ?? 1),
  least: query.has("least"),
  advice: query.has("advice"),
  finding: query.has("finding"),
  spike: query.has("spike"),
  many: query.has("many"),
  kind: query.get("kind") ?? "image",
  task: query.get("task") ?? "",
  proof: query.has("proof"),
});
const model = query.has("saved") ? await kernel.saved() : kernel.model;
const widget = createWidget();
widget.initialize({ model });
for (let i = 0; i < Number(query.get("views") ?? 1); i++) {
  const el = document.createElement("div");
  if (query.get("width") !== null) el.style.width = `${query.get("width") ?? ""}px`;
  document.body.append(el);
  if (query.has("records")) {
    showRecords(query, el);
    continue;
  }
  const remove = widget.render({ model: { ...model }, el });
  Object.assign(window, { remove, kernel });
}
if (!query.has("still")) setInterval(() => void kernel.tick(), 100);
