// The anywidget module. `initialize` owns the messages and the state of one dashboard model,
// `render` one view of it; the views of a model share its state, so that they never disagree.

import "uplot/dist/uPlot.min.css";
import "./style.css";
import "./parts.css";
import "./kinds.css";
import { Actions } from "./actions";
import { mount } from "./dashboard";
import { savedModel } from "./saved";
import { Store } from "./store";
import { Transport, type DashboardModel } from "./transport";

interface Shared {
  store: Store;
  actions: Actions;
  transport: Transport;
}

function connect(model: DashboardModel): Shared {
  const store = new Store();
  const transport = new Transport(model, store);
  const actions = new Actions(store, transport);
  transport.start();
  return { store, actions, transport };
}

const saved = savedModel();
const place = document.getElementById("coflect-view");
if (saved !== null && place !== null) {
  const { store, actions, transport } = connect(saved);
  mount(place, store, actions, transport);
}

/**
 * Called once a model. A function and not an object, because anywidget hands `initialize` and
 * `render` different proxies of the same model: what they share lives in this closure.
 */
export default () => {
  const known = new WeakMap<DashboardModel, Shared>();
  let latest: Shared | null = null;
  return {
    initialize({ model }: { model: DashboardModel }): () => void {
      const shared = connect(model);
      known.set(model, shared);
      latest = shared;
      return () => {
        shared.transport.stop();
      };
    },
    render({ model, el }: { model: DashboardModel; el: HTMLElement }): () => void {
      const shared = known.get(model) ?? (latest ??= connect(model));
      return mount(el, shared.store, shared.actions, shared.transport);
    },
  };
};
